/** Addresses. Nobody signed in: everything leads to the sign-in, and from there to where one was going. */
import { createRouter, createWebHistory } from "vue-router"
import { useSession } from "./stores/session.ts"
import { useSync } from "./stores/sync.ts"
import ProjectView from "./views/ProjectView.vue"
import SignInView from "./views/SignInView.vue"
import WorkspaceView from "./views/WorkspaceView.vue"

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: "/sign-in", name: "sign-in", component: SignInView, meta: { title: "Sign in", open: true } },
    {
      path: "/",
      component: WorkspaceView,
      children: [
        { path: "", name: "home", component: () => import("./views/HomeView.vue") },
        {
          path: "p/:project",
          name: "project",
          component: ProjectView,
          props: true,
          children: [{ path: "t/:task", name: "task", component: () => import("./components/task/TaskDrawer.vue"), props: true }],
        },
        { path: "files", name: "files", component: () => import("./views/FilesView.vue"), meta: { title: "Files" } },
        { path: "admin/:principal?", name: "admin", component: () => import("./views/AdminView.vue"), props: true, meta: { title: "Access" } },
        { path: "status", name: "status", component: () => import("./views/StatusView.vue"), meta: { title: "Status" } },
        { path: ":rest(.*)*", name: "nowhere", component: () => import("./views/NowhereView.vue"), meta: { title: "Nothing here" } },
      ],
    },
  ],
})

router.beforeEach((to) => {
  const signedIn = useSession().user !== null
  if (!signedIn && to.meta["open"] !== true) return { name: "sign-in", query: to.fullPath === "/" ? {} : { next: to.fullPath } }
  // Somebody whose token has ended is still here, and may sign in again.
  if (signedIn && to.name === "sign-in" && useSync().status.kind !== "signed-out") return { name: "home" }
  return true
})
router.afterEach((to) => {
  const title = to.meta["title"]
  if (typeof title === "string") document.title = `${title} · Tideline`
})
