-- apply_users: a part of apply (apply.lua), behind users.lua: what is asked of users.

-- Whether the user has a device that lives, after what this batch has done so far. Who has died
-- with the front-end does not count, though it may not be an orphan yet.
local function has_device(user)
    local live, all = {}, redis.pcall('HKEYS', prefix .. 'user:' .. user)
    for i = 1, #all do
        local other = string.byte(all[i]) ~= DOT and
                      redis.pcall('HGET', prefix .. 'client:' .. all[i], 'node')
        live[all[i]] = type(other) == 'string' and other ~= '' and is_alive(other) or nil
    end
    for i = 1, total - 1 do
        local op = ops[i]
        if op.how == 'close' or op.how == 'orphan' then
            live[op.id] = nil
        elseif op.user == user and (op.how == 'open' or op.how == 'adopt' or op.how == 'index') then
            live[op.id] = true
        end
    end
    return next(live) ~= nil
end
read.alone = read.open
function judge.alone(op, k)
    if not k[NODE] and op.user and has_device(op.user) then return 'owned - 0' end
    return judge.open(op, k)
end

-- The hold of a user without devices has passed.
local user_at = #prefix + #'user:' + 1
function read.offline() end
function judge.offline(op)
    op.user = string.sub(op.key, user_at)
    local at = call('ZSCORE', deadlines, 'u:' .. op.user)
    if not at then return 'missing' end
    if holding or tonumber(at) > now then return 'waits' end
    op.how = 'offline'
    return 'ok'
end
