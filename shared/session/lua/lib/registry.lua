-- A partition's registry: the accounts that have a block or roles, and of each,
-- sealed, its name and the note of its block; see registry.go.

-- isRegistered reports whether an account with that record belongs into the
-- registry.
local function isRegistered(rec)
  return rec.roles ~= '' or number(rec.head, F.head.flags) % (2 * BLOCKED_FLAG) >= BLOCKED_FLAG
end

-- dropText deletes what is sealed of an account: its name or its note.
local function dropText(change, kind)
  callOrReset('HDEL', change.registry_text, kind .. change.user)
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
  if name ~= '' then callOrReset('HSET', change.registry_text, NAME_TEXT .. change.user, name) end
end
