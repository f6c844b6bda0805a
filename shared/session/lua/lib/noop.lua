-- No-ops: changes that found nothing to change, or no record. A token of a
-- session that ended long ago is enough to ask for any number of them. So their
-- replies are not cached one by one: one key of the account has the idempotency
-- keys of the latest. Without it, one that arrives twice could end what began
-- since.

-- wasNoop reports whether this change ran before, and was a no-op.
local function wasNoop(change)
  local latest = callOrReset('GET', account.noops) or ''
  for at = 0, #latest - KEY_SIZE, KEY_SIZE do
    if get(latest, at, F.noop.idem) == change.idem then return true end
  end
  return false
end

-- saveNoop records that this change was a no-op.
local function saveNoop(change)
  local latest = change.idem .. (redis.call('GET', account.noops) or '')
  redis.call('UNLINK', account.noops) -- allowed if memory is full, and so is what follows; see save
  redis.call('SET', account.noops, sub(latest, 1, NOOPS_KEPT * KEY_SIZE), 'PX', REPLY_CACHE)
end
