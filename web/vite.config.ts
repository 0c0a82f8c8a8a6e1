/** How the web app is built: `npx vite build web` leaves it in web/dist, which web/server serves. */
import vue from "@vitejs/plugin-vue"
import { defineConfig } from "vite"

export default defineConfig({
  plugins: [vue()],
  define: {
    __VUE_OPTIONS_API__: "false",
    __VUE_PROD_DEVTOOLS__: "false",
    __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false",
  },
  build: {
    /** The browsers from which on `light-dark()` is there: the tokens say both themes in one place. */
    target: ["chrome123", "edge123", "firefox121", "safari17.5"],
    outDir: "dist",
    emptyOutDir: true,
    chunkSizeWarningLimit: 700,
  },
})
