/** Every command, in the order of the help. */
import type { Command } from "./command.ts"
import { grant, revoke } from "./commands/access.ts"
import { audit } from "./commands/audit.ts"
import { aside, asideRetry } from "./commands/aside.ts"
import { backfill } from "./commands/backfill.ts"
import { demoHistory } from "./commands/demo-history.ts"
import { access } from "./commands/explain.ts"
import { doctor } from "./commands/doctor.ts"
import { rebuild } from "./commands/rebuild.ts"
import { roleAdd, roleRemove } from "./commands/role.ts"
import { signOut } from "./commands/sign-out.ts"
import { status } from "./commands/status.ts"
import { tail } from "./commands/tail.ts"
import { token } from "./commands/token.ts"
import { track, untrack } from "./commands/track.ts"

export const COMMANDS: ReadonlyArray<Command> = [track, untrack, backfill, rebuild, status, doctor, aside, asideRetry, tail, audit, grant, revoke, roleAdd, roleRemove, access, signOut, token, demoHistory]
