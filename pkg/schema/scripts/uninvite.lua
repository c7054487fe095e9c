-- uninvite: removes invitations that were delivered.
--
-- It is joined from prelude.lua, invitations.lua and this file.
--
-- KEYS  1 invites:<user>  2 invitations  3 inviters
-- ARGV  1 the user, then each invitation as stored
-- Returns how many the list had.
local removed = 0
for i = 2, #ARGV do
    removed = removed + call('LREM', list, 1, ARGV[i])
    forget_invitation(string.sub(ARGV[i], 1, 16), ARGV[1])
end
return removed
