-- Entries of the audit list; see auditlist.go.

-- withoutName returns an entry without the sealed name of a user; nil if its
-- format is not known.
local function withoutName(entry, user)
  if #entry < ACTION_HEAD or number(entry, F.action.format) ~= ACTION_FORMAT then return nil end
  local names, size = tail(entry, F.action.names), number(entry, F.action.actor_size)
  local actor, target = sub(names, 1, size), sub(names, size + 1)
  if get(entry, F.action.actor) == user then actor = '' end
  if get(entry, F.action.user) == user then target = '' end
  return get(entry, F.action.fixed) .. pack(F.action.actor_size, #actor) .. actor .. target
end
