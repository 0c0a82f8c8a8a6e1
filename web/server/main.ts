/** The web server: the built app, and the edges behind the same address. `npm start` runs it; in production any web server will do. */
import { Effect, Schema } from "effect"
import { createServer } from "node:http"
import { observeAnswer } from "#observe/http.ts"
import { runService } from "#observe/run.ts"
import { webConfig } from "./config.ts"
import { loadFiles } from "./files.ts"
import { makeProxy } from "./proxy.ts"
import { respond } from "./respond.ts"

class WebError extends Schema.TaggedError<WebError>()("WebError", { message: Schema.String, hint: Schema.String }) {}

const SERVICE = "web"

const program = Effect.gen(function* () {
  const config = yield* webConfig
  const files = loadFiles(config.root)
  if (files === null) return yield* new WebError({ message: `TIDELINE_WEB_ROOT: there is no index.html in ${config.root}.`, hint: "Build the app first: npx vite build web" })
  const proxy = makeProxy(config.edges)

  const server = createServer((request, response) => {
    const path = (request.url ?? "/").split("?", 1)[0]!
    if (path === "/v1" || path.startsWith("/v1/")) return proxy.forward(request, response)
    const observed = observeAnswer(path, SERVICE, () => [])
    if (observed !== null) {
      response.writeHead(observed.status, { "content-type": observed.contentType, "cache-control": "no-store" }).end(observed.body)
      return
    }
    respond(request, response, files)
  })
  server.on("upgrade", (request, socket, head) => {
    if ((request.url ?? "/").split("?", 1)[0] === "/ws") proxy.upgrade(request, socket, head)
    else socket.end("HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
  })
  server.on("clientError", (_error, socket) => socket.destroy())
  // A long poll and an event stream may take as long as they like to answer.
  server.requestTimeout = 0

  yield* Effect.acquireRelease(
    Effect.callback<void, WebError>((resume) => {
      server.once("error", (error) => resume(new WebError({ message: `TIDELINE_PORT: port ${config.port} cannot be opened: ${error.message}`, hint: "Set TIDELINE_PORT to a free port." })))
      server.listen(config.port, config.host, () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        proxy.close()
        server.closeAllConnections()
      }),
  )
  yield* Effect.logInfo(`serving ${files.size} files on http://${config.host}:${config.port}`)
  return yield* Effect.never
})

runService(SERVICE, program)
