-- The first lines of every script.

-- emitted holds the events of this call, each its user id and its head. The
-- epilogue adds them to the reply.
local emitted = {}
