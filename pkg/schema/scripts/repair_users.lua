-- repair_users: a part of repair (repair.lua): users. That each device is in its user's hash is seen
-- at its entry; here, that nothing else is, and what follows from the devices.

-- The devices that are; wrong ones are taken down. Returns how the user is, false without a device.
local function judge_devices(name, all, find)
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
                find('device')
                if mend then follow_device(id, name) end
            end
            if wanted and status ~= 'busy' then status = wanted end
        end
    end
    return status, stored, is_right
end

each_name(function(name, key, find)
    local all = redis.pcall('HGETALL', key)
    if all.err then
        find('user-type')
        if mend then call('DEL', key) end
        return
    end
    local status, stored, is_right = judge_devices(name, all, find)
    if not is_right then return end -- what follows from it is looked at when it is
    local due = call('ZSCORE', deadlines, 'u:' .. name)
    if status and status ~= stored then
        find('status')
        if mend then touch(name) end
    end
    if status and due then
        find('hold')
        if mend then touch(name).has_come = true end
    elseif not status and stored and not due then
        find('hold')
        if mend then touch(name) end
    elseif not status and not stored and (all[1] or due) then
        find('hold')
        if mend then touch(name).is_due = true end
    end
end)
