/**
 * Which of a person's tabs holds the socket: the one that holds a Web Lock. A tab that closes or crashes gives the lock back by itself, and
 * the next in line has it within milliseconds. A tab that is frozen with the lock in its hand is passed by: `take` steals it.
 *
 * A wrong election is harmless (two leaders write the same documents by the same versions), so where a page has no Web Locks
 * (plain http from another machine) each tab leads for itself.
 */
export interface Leadership {
  /** Leads now, whoever did. */
  readonly take: () => void
  readonly close: () => void
}

export interface LeadershipOptions {
  readonly name: string
  readonly onLead: () => void
  /** Another tab took it. */
  readonly onLose: () => void
  readonly locks: LockManager | undefined
}

export const runForLeader = ({ name, onLead, onLose, locks }: LeadershipOptions): Leadership => {
  if (locks === undefined) {
    onLead()
    return { take: () => {}, close: () => {} }
  }
  let closed = false
  let leading = false
  let release = (): void => {}
  let queued = new AbortController()

  const campaign = (steal: boolean): void => {
    queued.abort()
    queued = new AbortController()
    let held = false
    const hold = (): Promise<void> => {
      if (closed) return Promise.resolve()
      held = true
      leading = true
      onLead()
      return new Promise((resolve) => (release = resolve))
    }
    locks.request(name, steal ? { steal } : { signal: queued.signal }, hold).catch(() => {
      // Either this place in the queue was given up for a steal, or the lock was stolen.
      if (!held || closed) return
      leading = false
      onLose()
      campaign(false)
    })
  }
  campaign(false)

  return {
    take: () => {
      if (!leading && !closed) campaign(true)
    },
    close: () => {
      closed = true
      queued.abort()
      release()
    },
  }
}
