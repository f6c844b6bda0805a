-- rolesChanged reports whether an account's roles differ from those that the
-- caller based its decision on: '=' and the roles, or empty if they do not
-- matter.
local function rolesChanged(roles, expected)
  return expected ~= '' and '=' .. roles ~= expected
end
