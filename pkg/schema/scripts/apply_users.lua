-- apply_users: judges operations on users. A part of apply (apply.lua).
--
-- Takes: from apply.lua, apply_entries.lua, apply_judge.lua, apply_read.lua and users.lua.
-- Gives: nothing but functions of judge and read.

-- Whether the user has a connected device after the operations judged so far. A device of a crashed
-- front-end does not count, although its entry may not be an orphan yet.
local function has_device(user)
    local connected, all = {}, redis.pcall('HKEYS', prefix .. 'user:' .. user)
    for i = 1, #all do
        local other = string.byte(all[i]) ~= DOT and
                      redis.pcall('HGET', prefix .. 'client:' .. all[i], 'node')
        connected[all[i]] = type(other) == 'string' and other ~= '' and is_node_alive(other) or nil
    end
    for i = 1, total - 1 do
        local op = ops[i]
        if op.action == 'close' or op.action == 'orphan' then
            connected[op.id] = nil
        elseif op.user == user and
               (op.action == 'open' or op.action == 'adopt' or op.action == 'index') then
            connected[op.id] = true
        end
    end
    return next(connected) ~= nil
end
read.alone = read.open
function judge.alone(op, k)
    if not k[NODE] and op.user and has_device(op.user) then return 'owned - 0' end
    return judge.open(op, k)
end

-- The offline delay of a user without devices has passed.
local user_at = #prefix + #'user:' + 1
function read.offline() end
function judge.offline(op)
    op.user = string.sub(op.key, user_at)
    local at = call('ZSCORE', deadlines, 'u:' .. op.user)
    if not at then return 'missing' end
    if in_recovery or tonumber(at) > now then return 'waits' end
    op.action = 'offline'
    return 'ok'
end
