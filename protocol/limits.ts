/**
 * Every bound of Tideline, with its unit and its reason. Relations between them are asserted at the end.
 * Tunable ones are read from the environment by the service that owns them, with these as defaults.
 */

// --- names and subjects -------------------------------------------------------------------------------------------

/** Bytes of one encoded subject token (scope or id). Four tokens and a reply address must fit nats-server's 4,096-byte control line. */
export const TOKEN_BYTES = 1_024
/** Characters of an entity code: a name people type, also a metric label. */
export const ENTITY_CODE_CHARS = 64

// --- frames ---------------------------------------------------------------------------------------------------------

/** Bytes of a frame from a client. Mutations with long text fit; a flood does not. */
export const FRAME_UP_BYTES = 256 * 1024
/** Bytes of one CHANGES frame to a client before the rest goes into a consecutive one marked `more`: what a phone parses within a frame of animation. */
export const FRAME_DOWN_BYTES = 256 * 1024
/** Changes in one CHANGES frame, for the same reason. */
export const FRAME_DOWN_CHANGES = 1_000
/** Milliseconds a connection may take to send AUTH. */
export const AUTH_TIMEOUT_MS = 5_000
/** Milliseconds between HEARTBEATs. */
export const HEARTBEAT_MS = 15_000
/** Milliseconds without any frame after which a client takes the link for dead: two heartbeats and a slow network. */
export const SILENCE_MS = 40_000
/** Seconds before a token's expiry at which TOKEN_EXPIRING_SOON is sent. */
export const TOKEN_WARNING_S = 60

// --- what one connection may ask for ----------------------------------------------------------------------------------

/** Subscriptions of one connection. */
export const SUBSCRIPTIONS = 100
/** Entity ids or scopes in one subscription. */
export const SUBSCRIPTION_IDS = 10_000
/** Ids and scopes of all subscriptions of one connection together, and patterns of the view they are cut down to: what an edge works through within a tenth of a second. */
export const VIEW_PATTERNS = 20_000
/** Mutations of one connection that wait for their turn. */
export const MUTATIONS_WAITING = 1_000
/** Mutations in one MUTATE frame. */
export const MUTATIONS_PER_FRAME = 100
/** Frames a second from one connection, sustained, and the burst above it. */
export const FRAMES_PER_SECOND = 50
export const FRAMES_BURST = 200
/** Bytes of a JSON Web Token: a header line of common proxies. */
export const TOKEN_MAX_BYTES = 8 * 1024
/** Bytes of the view inside a cursor before a digest stands for it: the cursor rides on every frame. */
export const CURSOR_VIEW_BYTES = 512
/** Changes of access that a cursor names during the first of them instead of the patterns they come to; whoever is cut off after more of them, with more patterns than fit, starts over. */
export const CURSOR_CHANGES = 4

// --- the edge ---------------------------------------------------------------------------------------------------------

/** Connections of one edge process. A process may open 20,000 files; each connection is one. */
export const EDGE_CONNECTIONS = 12_000
/** Events in the ring of recent changes. A resume that it covers costs NATS nothing. */
export const RING_EVENTS = 100_000
/** Bytes of event bodies in the ring, whichever bound comes first. */
export const RING_BYTES = 128 * 1024 * 1024
/** Recent changes an edge reads into its ring when it starts, so that those whom a deploy sent over find themselves covered. */
export const RING_WARM_EVENTS = 10_000
/** Milliseconds an edge waits to see a position that a cursor names and it has not reached: another edge, or region, may be ahead. */
export const CURSOR_AHEAD_MS = 2_000
/** Milliseconds of catching up from the ring before other work gets its turn. */
export const RING_TURN_MS = 5
/** Milliseconds a replay waits for a full socket before it gives its place to another. */
export const REPLAY_PATIENCE_MS = 1_000
/** Milliseconds between two looks at a STATE that is behind. */
export const STATE_BEHIND_MS = 20
/** Milliseconds before what was not available is asked for again, at first and at most. */
export const RETRY_FIRST_MS = 250
export const RETRY_MOST_MS = 10_000
/** Milliseconds before an expiry timer asks again: clocks differ. */
export const EXPIRY_AGAIN_MS = 100
/** Bytes waiting in one socket before its connection leaves the live index. */
export const SOCKET_HIGH_WATER_BYTES = 1024 * 1024
/** Milliseconds a socket may stay above the high-water mark before it is closed. */
export const SOCKET_STALL_MS = 30_000
/** Replays under way at once on one edge; the rest queue. */
export const REPLAYS = 16
/** Subject filters in one replay reader; a larger view is read in several. */
export const REPLAY_FILTERS = 200
/** Milliseconds a closing handshake may take when an edge ends. */
export const CLOSING_MS = 1_000
/** HTTP requests under way at once on one edge. */
export const HTTP_AT_ONCE = 256
/** Rows in one page over HTTP, at most and unless told, and versions in one history. */
export const PAGE_ROWS = 1_000
export const PAGE_ROWS_DEFAULT = 100
/** Milliseconds after the log began again in which an entity that the log does not name may still be one: the relay writes it anew from the tables. */
export const EPOCH_SETTLES_MS = 60_000
/** Milliseconds over which a draining edge sends its connections away. */
export const DRAIN_MS = 5_000

// --- the log ----------------------------------------------------------------------------------------------------------

/** Messages of one JetStream atomic batch (the server's own limit). */
export const BATCH_MESSAGES = 1_000
/** Bytes of one batch: a fraction of what the server stages, so that several relays and tests share one. */
export const BATCH_BYTES = 4 * 1024 * 1024
/** Bytes of one message; nats.conf sets the same `max_payload`. */
export const MESSAGE_BYTES = 8 * 1024 * 1024
/** Bytes of a row as JSON; the writer of a larger one is refused (tide.row_bytes). The rest of a message is for headers, the relay's cursor among them. */
export const ROW_BYTES = MESSAGE_BYTES - 64 * 1024
/** Bytes of `tide.user_id`, `tide.mutation_id` and `tide.traceparent` each (tide.setting_bytes): they are headers, where a byte may take three. */
export const SETTING_BYTES = 1_024
/** Bytes that a message of a row may have in headers without being set aside, and bytes that a batch adds to them: a cursor with two snapshots of a thousand open transactions. Together below the server's 64 KiB. */
export const ROW_HEADER_BYTES = 32 * 1024
export const BATCH_HEADER_BYTES = 24 * 1024
/** Addresses of which changes are set aside before the relay stops: then it is no row that is too large, but something that is too small. */
export const ADDRESSES_ASIDE = 10_000
/** Days of history in CHANGES. */
export const HISTORY_DAYS = 30
/** Days a tombstone lives in STATE: longer than the history, so that any cursor the history covers finds it. */
export const TOMBSTONE_DAYS = 40
/** Consumers (readers) of one stream: an edge has one tail and up to REPLAYS readers; the server's own default is 1,000. */
export const STREAM_CONSUMERS = 10_000
/** Milliseconds between signs of life of a connection to NATS: with two missed, a dead server is noticed within half a minute. */
export const NATS_PING_MS = 10_000
/** Milliseconds between tries to reach NATS again, and the jitter on top. */
export const NATS_RECONNECT_MS = 250
/** Milliseconds between signs of life of an idle reader of a stream: how old an edge's view may be without its knowing. */
export const READER_HEARTBEAT_MS = 1_000
/** Messages a follower of CHANGES has asked for ahead of need. */
export const FOLLOW_AHEAD = 5_000
/** A replay that begins no further than this before the end of STATE is read by a consumer, one that begins earlier by direct gets where its filters name scopes. */
export const NEAR_MESSAGES = 10_000
/** Subjects the server answers in one direct get of newest messages. */
export const DIRECT_SUBJECTS = 1_024
/** Scopes that a replay reads by direct gets; of more of them a consumer is the cheaper reader. */
export const DIRECT_SCOPES = 16
/** Entities named in one direct get: with their scopes each is a look-up, without them a walk over all scopes. */
export const DIRECT_IDS = 500
export const DIRECT_FLOATING_IDS = 100
/** Milliseconds of direct gets of entities in any scope, after which a replay weighs reading the whole type instead: less is not worth the question. */
export const DIRECT_TRIAL_MS = 200
/** Milliseconds that a message costs, an edge and the server together, which is read to be sifted by its subject. */
export const SIFT_MS = 0.02
/** Messages, and bytes, that a replay's consumer has asked for ahead of need. */
export const REPLAY_AHEAD = 1_000
export const REPLAY_AHEAD_BYTES = 16 * 1024 * 1024
/** Messages and bytes of direct gets that one replay holds in memory to put them in order; what is beyond is read by consumers. */
export const DIRECT_MESSAGES = 20_000
export const DIRECT_BYTES = 16 * 1024 * 1024
/** Rows of a window that the relay takes in one query; a larger window it streams through a Postgres cursor. */
export const WINDOW_ROWS = 1_000
/** Rows in one fetch of that cursor. */
export const WINDOW_FETCH = 500
/** Bytes as stored of a row's image that is not read together with others, but by itself (tide.large_bytes): a thousand of the others are some ten megabytes, and some hundred where they are as compressible as can be. */
export const LARGE_IMAGE_BYTES = 16 * 1024
/** Milliseconds the stream may take to acknowledge a batch before its outcome counts as unknown. */
export const PUBLISH_TIMEOUT_MS = 10_000
/**
 * Messages of a window that are published one by one, where each is a transaction of its own: for a batch the server makes a store on disk
 * and removes it, which takes it 4 ms of processor time and up to 20 ms beside the fsync; a single message takes it 0.3 and 0.5 ms.
 */
export const ALONE_MESSAGES = 10
/** Rows in a window up to which the relay looks again only when they are acknowledged: what it finds would wait for that anyway, and is more then. */
export const UNHURRIED_ROWS = 250
/**
 * Milliseconds over which the relay counts transactions; so many of them and it stays awake and has writers not notify it (notifying costs
 * each commit a database-wide lock), so few and it goes to sleep: 240 and 60 a second.
 */
export const RELAY_RATE_MS = 50
export const RELAY_BUSY = 12
export const RELAY_CALM = 3
/** Milliseconds between looks while awake. */
export const RELAY_LOOK_MS = 2
/** Milliseconds between looks while transactions may be open that began when the relay was awake: the longest pause. */
export const RELAY_DROWSY_MS = 250
/** Milliseconds between looks while asleep: only a lost notification needs them. */
export const RELAY_ASLEEP_MS = 30_000
/** Milliseconds between tries to get the lease, and to go on where the stream or Postgres refused. */
export const LEASE_TRY_MS = 500
export const RELAY_RETRY_MS = 2_000
/** Milliseconds between signs of life of the relay that holds the lease, and without one after which Postgres ends its session: it is stopped or cut off, and another may work. */
export const LEASE_TOUCH_MS = 3_000
export const LEASE_SILENCE_MS = 12_000
/** Milliseconds between notes of the highest acknowledged sequence in Postgres. */
export const RELAY_NOTE_MS = 1_000
/** Milliseconds between makings of outbox partitions, and droppings of old ones. */
export const PARTITIONS_MS = 3_600_000
/**
 * Days that published rows stay in the outbox (TIDELINE_OUTBOX_DAYS): it is the audit log, and a stream that is lost is made again from it with all
 * the history it promises. The least that may be set: far longer than any fsync interval, and than a backup of the stream is old.
 */
export const OUTBOX_DAYS = 30
export const OUTBOX_DAYS_LEAST = 2
/** Messages before the stream's end that a relay looks at for a cursor, and for rows that Postgres must have; and at once. */
export const WITNESSES = 1_000
export const WITNESSES_AT_ONCE = 32
/** Bytes of the outbox from which on it is worth a word (TIDELINE_OUTBOX_WARN_BYTES): half of what small databases have for a disk. */
export const OUTBOX_WARN_BYTES = 10 * 1024 * 1024 * 1024
/** Milliseconds between looks at how much room there is: what fills a disk takes longer. */
export const ROOM_MS = 30_000
/** Part of a limit of JetStream's store from which on it is worth a word. */
export const ROOM_WARN_PART = 0.8
/** Rows in one page of a backfill or rebuild: one transaction, so one batch, and one direct get (DIRECT_SUBJECTS). */
export const BACKFILL_PAGE = 1_000
/** Rows a second that a backfill or rebuild looks at unless it is told: about a tenth of what the relay can publish, so writers hardly notice. */
export const BACKFILL_RATE = 5_000
/** Bytes of messages that a rebuild asks for at once. */
export const REBUILD_BYTES = 16 * 1024 * 1024
/** Milliseconds that a rebuild waits after something went wrong. */
export const REBUILD_WAIT_MS = 5_000
/** Seconds after which the rebuild's connection to Postgres is closed when there is nothing to do. */
export const REBUILD_IDLE_S = 10

// --- Postgres ---------------------------------------------------------------------------------------------------------

/** Characters of a mutation's id: a UUID and some more (db/functions/06_mutate.sql says the same). */
export const MUTATION_ID_CHARS = 200
/**
 * Locks that all principals but everyone share by a hash, and scopes likewise (authz.principal_locks): a tenth of what a Postgres of default
 * settings has room for, so that a bulk revocation, which takes them all, and several users of very many roles fit. A power of two.
 */
export const PRINCIPAL_LOCKS = 512
/** Seconds to wait for a connection: a database that fails over takes longer, and the caller tries again. */
export const POSTGRES_CONNECT_S = 10
/** Seconds at most between tries to reach Postgres again: the driver's own default waits up to 20. */
export const POSTGRES_RECONNECT_S = 1
/** How often two connections are asked in turn which session serves them, before a pooler is believed to keep them apart. */
export const POOLER_ROUNDS = 5
/** Milliseconds within which Postgres answers what takes it no time, or its connection counts as dead; and a look at the outbox, on a busy machine; and the next page of a large window, of which the first is sorted before it comes. */
export const POSTGRES_ANSWER_MS = 12_000
export const LOOK_ANSWER_MS = 30_000
export const WINDOW_ANSWER_MS = 15 * 60_000
/** Seconds that queries under way have to end when a connection is closed. */
export const POSTGRES_CLOSE_S = 5

// --- requests over NATS -----------------------------------------------------------------------------------------------

/** Milliseconds a request to authz or to the command service may take. */
export const REQUEST_TIMEOUT_MS = 5_000
/** Milliseconds after which a question that one authz does not answer is put to all of them: one may be stopped, and the server sees that after half a minute. */
export const ASK_ALL_MS = 1_500
/** Milliseconds authz waits for its fold to reach the sequence asked for before it answers `behind`. */
export const FOLD_WAIT_MS = 3_000

/** Users whose views an edge asks for in one request: what authz answers within a few milliseconds where their grants are few. */
export const VIEWS_AT_ONCE = 256
/** Bytes of patterns in one reply about views, after which authz leaves the rest to be asked again: what an edge reads within some milliseconds. One user's may be more, up to what a message holds. */
export const VIEWS_BYTES = 1024 * 1024
/** Milliseconds of answering about views before authz hears others. */
export const VIEWS_TURN_MS = 10
/** Requests one authz process works on at once: a storm of reconnects; what is above is told to ask again. */
export const AUTHZ_IN_FLIGHT = 20_000
/** Grants, or holders, in one page of an explanation, at most and unless told: who granted each is read from STATE. */
export const EXPLAIN_PAGE = 200
export const EXPLAIN_PAGE_DEFAULT = 50
/** Grants named for one holder of a pattern, the strongest: what is asked is who, and a holder's own page has them all. */
export const EXPLAIN_HOLDER_GRANTS = 5
/** Ways through roles that are told of one grant: enough to see that taking away one membership leaves another. */
export const EXPLAIN_PATHS = 4
/** Questions about access that one authz process works on at once; a page is for people, and the edges' questions go first. */
export const EXPLAIN_IN_FLIGHT = 32
/** Milliseconds one goes through grants before others get their turn: a connection's question waits this long at most. */
export const EXPLAIN_TURN_MS = 5
/** Milliseconds between looks at how far CHANGES has been trimmed, after which authz forgets what nobody can ask about. */
export const FOLD_FORGET_MS = 10 * 60_000
/** Rows that it looks at for that before questions get their turn: a millisecond. */
export const FOLD_FORGET_SLICE = 5_000
/** Grants of a user and their roles from which on authz keeps what they come to until one changes: fewer are gone through as fast as looked up. */
export const FOLD_KEPT_FROM = 100
/** Patterns that it keeps so, for all users together: with their text some 20 MB. What was not asked for longest goes first. */
export const FOLD_KEPT_PATTERNS = 200_000
/** Commands one process applies at once, each on a connection to Postgres of its own. */
export const COMMANDS_AT_ONCE = 16
/** Commands that wait in one process; what is above is told to ask again. */
export const COMMANDS_WAITING = 2_000
/** Milliseconds a command waits for a row that somebody keeps locked. */
export const COMMAND_LOCK_MS = 3_000
/** Milliseconds in which a command is answered, its wait behind others and for locks included. */
export const COMMAND_ANSWER_MS = 4_500
/** Tries of a command that Postgres gave up for another transaction's sake (deadlock, serialisation). */
export const COMMAND_TRIES = 5
/** Milliseconds between deletions of grants that have expired: how late the log may learn of an expiry. */
export const EXPIRE_EVERY_MS = 1_000
/** Milliseconds between removals of the ids of old mutations. */
export const PRUNE_EVERY_MS = 3_600_000

// --- tokens -----------------------------------------------------------------------------------------------------------

/** Bytes of an HS256 secret at least: the size of the hash (RFC 7518, 3.2). */
export const SECRET_MIN_BYTES = 32
/** Seconds that two machines' clocks may differ. */
export const CLOCK_SKEW_S = 30
/** Characters of a user id: it rides in headers, subjects' principals and log lines. */
export const USER_ID_CHARS = 256
/** Characters of a session id (`sid`): it stands in a row that travels in the log, and in AUTH_SUCCESS. */
export const SESSION_ID_CHARS = 256
/** Seconds a demo token lasts. */
export const DEMO_TOKEN_S = 12 * 3_600
/** Milliseconds to wait for a key set. */
export const JWKS_TIMEOUT_MS = 2_000
/** Milliseconds between two fetches of the key set, whatever tokens say of keys: nobody can have us hammer the issuer, and a new key is known within this. */
export const JWKS_COOLDOWN_MS = 5_000
/** Milliseconds after which a key set is fetched again before it is relied upon (from half of it on, beside it): so long is a key good that is gone from the set. */
export const JWKS_FRESH_MS = 60_000
/** Milliseconds that known keys stay good while the set cannot be had: an issuer's outage, and not a day in which a stolen key cannot be taken back. */
export const JWKS_STALE_MS = 3_600_000
/** Bytes of a key set, and keys in it: issuers have a handful. */
export const JWKS_BYTES = 256 * 1024
export const JWKS_KEYS = 100
/** Unknown keys of which is remembered since when they were asked for. */
export const JWKS_ASKED = 1_000

// --- processes --------------------------------------------------------------------------------------------------------

/** Milliseconds a service may take to stop before it is cut off: an edge's drain and some more. */
export const STOP_DEADLINE_MS = 10_000

if (VIEWS_BYTES >= MESSAGE_BYTES / 2) throw new Error("limits: a reply about views must fit a message with the last user's that was put in")
if (TOMBSTONE_DAYS <= HISTORY_DAYS) throw new Error("limits: tombstones must outlive the history")
if (OUTBOX_DAYS < HISTORY_DAYS) throw new Error("limits: the outbox must be able to fill the stream's history again")
if (FOLD_WAIT_MS >= REQUEST_TIMEOUT_MS) throw new Error("limits: authz must answer before its asker gives up")
if (2 * ASK_ALL_MS >= REQUEST_TIMEOUT_MS) throw new Error("limits: all must have the time to answer before their asker gives up")
if (SILENCE_MS <= 2 * HEARTBEAT_MS) throw new Error("limits: one lost heartbeat must not end a connection")
if (DRAIN_MS + CLOSING_MS >= STOP_DEADLINE_MS) throw new Error("limits: an edge must have drained before it is cut off")
if (RING_WARM_EVENTS > RING_EVENTS) throw new Error("limits: the ring must hold what it is warmed with")
if (ROW_BYTES + 3 * 3 * SETTING_BYTES + 48 * 1024 > MESSAGE_BYTES) throw new Error("limits: the largest row with the longest settings and the cursor of two thousand writers must fit a message")
if (SETTING_BYTES < 4 * USER_ID_CHARS) throw new Error("limits: every user's id must fit its header")
if (3 * TOKEN_BYTES >= 4_096) throw new Error("limits: a subject must fit the server's control line")
if (REPLAY_AHEAD_BYTES <= MESSAGE_BYTES + 64 * 1024) throw new Error("limits: a reader must be able to ask for the largest message")
if (BACKFILL_PAGE > DIRECT_SUBJECTS) throw new Error("limits: the newest messages of a page must fit one direct get")
if (RELAY_CALM >= RELAY_BUSY) throw new Error("limits: the relay must not fall asleep at a rate that wakes it")
if (LEASE_SILENCE_MS <= 2 * LEASE_TOUCH_MS) throw new Error("limits: one late sign of life must not cost the lease")
if (STOP_DEADLINE_MS <= DRAIN_MS) throw new Error("limits: an edge must be able to drain before it is cut off")
if (JWKS_TIMEOUT_MS >= JWKS_COOLDOWN_MS || JWKS_FRESH_MS <= 2 * JWKS_COOLDOWN_MS || JWKS_STALE_MS <= JWKS_FRESH_MS) throw new Error("limits: a key set must be fetched again before it is stale")
if (2 * JWKS_TIMEOUT_MS >= REQUEST_TIMEOUT_MS) throw new Error("limits: authz must answer before its asker gives up")
if (COMMAND_ANSWER_MS >= REQUEST_TIMEOUT_MS) throw new Error("limits: a command must be answered before its asker gives up")
