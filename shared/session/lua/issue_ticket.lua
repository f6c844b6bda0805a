-- Issues a ticket of a session, which can be used once.
--
-- KEYS[1]  the subject's record
-- KEYS[2]  the session's tickets: fields are their hashes
-- ARGV[1]  now, ms
-- ARGV[2]  idempotency key, 6 bytes
-- ARGV[3]  session part of the id, 16 bytes
-- ARGV[4]  hash of the ticket, 16 bytes
-- ARGV[5]  hash of the access token that asks for it, 16 bytes
-- ARGV[6]  grace, ms
-- ARGV[7]  life of a ticket, ms
-- ARGV[8]  how many unused tickets there may be
-- ARGV[9]  how many tickets there may be, used ones too
-- ARGV[10] how long to keep a ticket, ms: past its end, so that a repeat of
--          this call by the network makes no second one
--
-- Returns  {DONE, time}   issued; when it expires: not after the access token
--          {LIMITED, ms}  there are too many; when one of them expires
--          {EXPIRED}      the access token has been superseded, or has expired
--          {UNKNOWN}, {ENDED, reason, time, mine}, {DAMAGED}
local record, tickets = KEYS[1], KEYS[2]
local now, idem, session, ticket = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local access, grace, life = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local most_unused, most, keep = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])

local raw = redis.call('GET', record)
local at, reply = findLive(raw, session, now, idem)
if not at then return reply end
local last = accessEnd(get(raw, at, F.entry), access, grace)
if not last or now >= last then return {EXPIRED} end

local all = callOrReset('HGETALL', tickets)
local old, unused, used = {}, 0, 0
local free_unused, free -- when the first unused ticket expires, and the first of all
for i = 1, #all, 2 do
  local name, item = all[i], all[i + 1]
  local expires = #item == TICKET_SIZE and number(item, F.ticket.expires) or 0
  if name == ticket then return {DONE, expires} end -- this call ran before
  if expires - life + keep <= now then
    old[#old + 1] = name
  elseif expires > now then
    free = math.min(free or expires, expires)
    if get(item, F.ticket.used_by) == NO_HASH then
      unused, free_unused = unused + 1, math.min(free_unused or expires, expires)
    else
      used = used + 1
    end
  end
end
if #old > 0 then redis.call('HDEL', tickets, unpack(old)) end
if unused >= most_unused then return {LIMITED, free_unused - now} end
if unused + used >= most then return {LIMITED, free - now} end

local expires = math.min(now + life, last)
redis.call('HSET', tickets, ticket, pack(
  F.ticket.expires, expires,
  F.ticket.access, access,
  F.ticket.used_by, NO_HASH,
  F.ticket.reused, 0))
redis.call('PEXPIRE', tickets, keep)
return {DONE, expires}
