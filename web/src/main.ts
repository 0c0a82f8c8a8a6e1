/** Hop 5 ends here: documents become a screen. */
import { createPinia } from "pinia"
import { createApp } from "vue"
import App from "./App.vue"
import { router } from "./router.ts"
import { useSession } from "./stores/session.ts"
import { useTheme } from "./stores/theme.ts"
import "./styles/tokens.css"
import "./styles/base.css"
import "./styles/controls.css"

const app = createApp(App).use(createPinia())
useTheme()
// Before the first route: where it leads depends on who is here. What the device holds is then on the first picture.
await useSession().restore()
app.use(router)
await router.isReady()
app.mount("#app")
