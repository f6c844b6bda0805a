-- endAndReply ends one listed session and returns the reply ENDED. Unlinking
-- the payload needs no memory, and by itself closes the session; see save.
local function endAndReply(change, payload, state, raw, session, reason)
  local rec = open(raw)
  local function isIt(e) return get(e, F.session) == session end
  local _, why, at = endEntries(change, rec, isIt, reason)
  redis.call('UNLINK', payload, state)
  save(change, rec)
  return {ENDED, why, at, 1}
end
