-- A partition's registry: the accounts that have a block or roles, and of each,
-- sealed, its name and the note of its block; see registry.go.

-- isRegistered reports whether an account with that record belongs in the
-- registry.
local function isRegistered(rec)
  return rec.roles ~= '' or number(rec.head, F.head.flags) % (2 * BLOCKED_FLAG) >= BLOCKED_FLAG
end

-- nameOf returns the sealed name of an argument. It begins with the session that
-- the name was read from. If that is over, the account may have been erased
-- since, and the name does not count. Without a session, an admin has named the
-- account.
local function nameOf(rec, argument)
  if argument == '' then return '' end
  local session, sealed = get(argument, F.name.session), tail(argument, F.name.sealed)
  if session == NO_SESSION then return sealed end
  for _, e in ipairs(rec.live) do
    if get(e, F.session) == session then return sealed end
  end
  return ''
end

-- dropText deletes what is sealed of an account: its name or its note.
local function dropText(change, kind)
  callOrReset('HDEL', change.registry_text, kind .. change.user)
end

-- saveText stores what is sealed of an account, with a stamp that says of which
-- account and of which block it is; see isCurrent.
local function saveText(change, rec, kind, sealed)
  local stamp = get(rec.head, F.head.created) .. get(rec.head, F.head.epoch)
    .. get(rec.head, F.head.blocked_at)
  callOrReset('HSET', change.registry_text, kind .. change.user, stamp .. sealed)
end

-- isCurrent reports whether what is stored is of the account and, if it is a
-- note, of the block that the record has. Since an earlier version does not
-- update it, it may be of an account that was erased, or of another block.
local function isCurrent(rec, kind, stored)
  if #stored < TEXT_STAMP then return false end
  if kind == NOTE_TEXT and get(stored, F.text.blocked_at) ~= get(rec.head, F.head.blocked_at) then
    return false
  end
  if number(stored, F.text.created) == 0 then -- before the first login, which keeps the epoch
    return get(stored, F.text.epoch) == get(rec.head, F.head.epoch)
  end
  return get(stored, F.text.created) == get(rec.head, F.head.created)
end

-- dropStale deletes what is stored under a kind and is not current. It reports
-- whether there was such.
local function dropStale(change, rec, kind)
  local stored = callOrReset('HGET', change.registry_text, kind .. change.user)
  if not stored or isCurrent(rec, kind, stored) then return false end
  dropText(change, kind)
  return true
end

-- updateRegistry makes the registry match a record. An account that leaves it
-- leaves nothing. name is the sealed name of the account; if it is empty, the
-- name that is stored stays.
local function updateRegistry(change, rec, name)
  if not isRegistered(rec) then
    dropText(change, NAME_TEXT)
    dropText(change, NOTE_TEXT)
    callOrReset('ZREM', change.registry, change.user)
    return
  end
  callOrReset('ZADD', change.registry, 0, change.user)
  if name ~= '' then saveText(change, rec, NAME_TEXT, name) end
end
