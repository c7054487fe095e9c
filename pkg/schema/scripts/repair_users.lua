-- repair_users: checks users. A part of a repair script (repair.lua).
--
-- repair_entries.lua checks that each device is in its user's hash; this part checks that the hash has
-- nothing else, and what follows from the devices.
--
-- Takes: from repair.lua and users.lua.  Gives: nothing.

-- Checks the devices of a user, and removes wrong ones. Returns the status that follows from them
-- (false: no device), the stored one, and whether all devices were right.
local function check_devices(name, all, report)
    local status, stored, is_right = false, false, true
    for i = 1, #all, 2 do
        local id, value = all[i], all[i + 1]
        if id == '.status' then
            stored = value
        elseif string.byte(id) ~= DOT then
            local k = redis.pcall('HMGET', prefix .. 'client:' .. id, 'user', 'status', 'node')
            local is_device = k[1] == name and k[3] and k[3] ~= ''
            local wanted = is_device and (k[2] == 'busy' and 'busy' or 'online')
            if value ~= wanted then
                is_right = false
                report('device')
                if repairs then sync_device(id, name) end
            end
            if wanted and status ~= 'busy' then status = wanted end
        end
    end
    return status, stored, is_right
end

each_name(function(name, key, report)
    local all = redis.pcall('HGETALL', key)
    if all.err then
        report('user-type')
        if repairs then call('DEL', key) end
        return
    end
    local status, stored, is_right = check_devices(name, all, report)
    if not is_right then return end -- the rest is checked once the devices are right
    local due = call('ZSCORE', deadlines, 'u:' .. name)
    if status and status ~= stored then
        report('status')
        if repairs then touch_user(name) end
    end
    if status and due then
        report('hold')
        if repairs then touch_user(name).has_new_device = true end
    elseif not status and stored and not due then
        report('hold')
        if repairs then touch_user(name) end
    elseif not status and not stored and (all[1] or due) then
        report('hold')
        if repairs then touch_user(name).is_offline_due = true end
    end
end)
