-- The roles of an account, on which callers base decisions.

-- storedRoles returns the roles of a record, comma separated.
local function storedRoles(raw)
  return sub(raw, HEAD_SIZE + 1, HEAD_SIZE + number(raw, F.lengths.roles))
end

-- rolesChanged reports whether an account's roles differ from those that the
-- caller based its decision on: '=' and the roles, or empty if they do not
-- matter.
local function rolesChanged(roles, expected)
  return expected ~= '' and '=' .. roles ~= expected
end
