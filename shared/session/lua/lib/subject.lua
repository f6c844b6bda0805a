-- The first keys and arguments of every script that changes the record of one
-- subject. sweep.lua changes several, and has its own.
--
-- KEYS[1]  the record
-- KEYS[2]  the partition's counters
-- KEYS[3]  the partition's index, the segment that is filled first
-- KEYS[4]  the partition's index, the segment of this subject
-- KEYS[5]  the subject's activity
-- ARGV[1]  now, ms
-- ARGV[2]  idempotency key, 6 bytes
-- ARGV[3]  the subject's user id, 16 bytes
-- ARGV[4]  the actor, sealed, or empty
-- ARGV[5]  how many events the activity holds; 0 for none
-- ARGV[6]  how long the activity is kept, ms
-- The last arguments but one, behind the script's own, are what the outbox takes
-- of the change, or empty; the sealed detail of the change's events, or empty;
-- and how long preferences are kept after a login, ms. If the outbox takes
-- something, it and its state are the last keys.
--
-- change.events are the events to write into the activity, and change.queue those
-- to write into the outbox, if there is one. change.keys is how many keys there
-- are without those of the outbox.
local change = {
  record = KEYS[1], counters = KEYS[2], base = KEYS[3], own = KEYS[4], activity = KEYS[5],
  now = tonumber(ARGV[1]), idem = ARGV[2], user = ARGV[3], actor = ARGV[4],
  cap = tonumber(ARGV[5]), keep = ARGV[6], detail = ARGV[#ARGV - 2],
  preferences_keep = tonumber(ARGV[#ARGV - 1]),
  outgoing = ARGV[#ARGV - 3],
  events = {}, keys = #KEYS,
}
if change.outgoing ~= '' then
  change.queue, change.keys = {}, #KEYS - 2
  change.outbox, change.outbox_state = KEYS[#KEYS - 1], KEYS[#KEYS]
end
