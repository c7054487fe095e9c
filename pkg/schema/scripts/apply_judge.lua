-- apply_judge: judges operations on entries. A part of apply (apply.lua).
--
-- Each function `judge.<operation>(op, k)` returns the line of the result. It changes k, the entry's
-- state, and `entries`; it sets op.action, the function of apply_write.lua that writes the operation,
-- or op.write, a function of its own.
--
-- Takes: from apply.lua and apply_entries.lua.
-- Gives: judge, add_decimal.
local function version_low_byte(v)
    local m = 0
    for i = 1, #v do m = (m * 10 + string.byte(v, i) - 48) % 256 end
    return m
end
local function add_decimal(v, n)
    local digits, carry = {}, n
    for i = #v, 1, -1 do
        local d = string.byte(v, i) - 48 + carry
        digits[i] = d % 10
        carry = math.floor(d / 10)
    end
    return (carry > 0 and integer(carry) or '') .. table.concat(digits)
end

local function rule_certificate(rule) return rule and string.match(rule, '^tls (%x+)$') end
local function has_certificate(op)
    local certificate = rule_certificate(op.rule)
    return certificate and call('HGET', op.key, 'certificate') == certificate
end

-- nil when the operation's session may write the entry, else the result line of the refusal.
local function check_ownership(op, k)
    if k[SESSION] == op.session and (k[NODE] == node or k[NODE] == '') then return nil end
    if k[NODE] ~= '' then
        local ends = lease_end(k[NODE])
        if k[NODE] ~= node and ends < now and not in_recovery then return 'dead ' .. k[NODE] end
        local word = has_certificate(op) and 'held ' or 'owned '
        return word .. k[NODE] .. ' ' .. integer(ends)
    end
    if not op.rule or op.rule == 'off' or not has_state(op, k) then return 'owned - 0' end
    if op.rule == 'any' or rule_certificate(op.rule) then return nil end
    local from = call('HGET', op.key, 'address')
    if from and string.match(from, '^(.*):%d+$') == op.rule then return nil end
    return 'owned - 0'
end

-- The version to store; nil when it is stale. The second result is true when this session has already
-- stored it: a retry is accepted again.
local function judge_version(op, k, v)
    if is_newer(v, k[VERSION]) then return not is_newer(v, LARGEST) and v or nil end
    if v == k[VERSION] and k[SESSION] == op.session then
        local state = k[STATE] or call('HGET', op.key, 'state')
        if state == op.state then return v, true end
    end
    return nil
end
local function claimed_version(op, k)
    local kind = string.sub(op.version, 1, 1)
    if kind == '=' then return string.sub(op.version, 2) end
    if kind == '+' then return add_decimal(k[VERSION], 1) end
    local ahead = (tonumber(string.sub(op.version, 2)) - version_low_byte(k[VERSION])) % 256
    return ahead < 128 and add_decimal(k[VERSION], ahead) or nil
end

-- Users and entries share one set of names. A user's id must not be that of another client's entry,
-- and a new entry's id must not be that of a present user. Registered servers are exempt: their
-- address is verified, while a client chooses the user's id.
local new_users = {} -- users who became present in this batch
local function find_name_conflict(op)
    if new_users[op.id] or redis.pcall('HEXISTS', prefix .. 'user:' .. op.id, '.status') == 1 then
        return 'taken id'
    end
    if not op.user then return nil end
    local name = prefix .. 'client:' .. op.user
    if load_entry(name)[NODE] and redis.pcall('HGET', name, 'user') ~= op.user then return 'taken user' end
    return nil
end

-- A user's devices after the operations judged so far, so that what concerns all of them is bounded.
local device_counts = {}
-- Removes those that this batch has closed so far.
local function count_off_closed(user)
    for i = 1, total - 1 do
        local op = ops[i]
        if not op.is_counted_off and (op.action == 'close' or op.action == 'orphan') and
           redis.pcall('HEXISTS', prefix .. 'user:' .. user, op.id) == 1 then
            op.is_counted_off = true
            device_counts[user] = device_counts[user] - 1
        end
    end
end
-- Whether the user may have one more.
local function has_room_for_device(user)
    if not device_counts[user] then
        local key = prefix .. 'user:' .. user
        local n = tonumber(redis.pcall('HLEN', key)) or 0
        local own = n > 0 and call('HMGET', key, '.status', '.seq') or {}
        device_counts[user] = n - (own[1] and 1 or 0) - (own[2] and 1 or 0)
    end
    if device_counts[user] >= max_devices then count_off_closed(user) end
    return device_counts[user] < max_devices
end
local function count_device(user)
    if device_counts[user] then device_counts[user] = device_counts[user] + 1 end
end

local function assign_entry(op, k, how, version)
    if how == 'open' then
        local is_limited = op.user and not op.restores
        local refusal = find_name_conflict(op) or
                        is_limited and not has_room_for_device(op.user) and 'limit' or
                        reserve_entry(op, k)
        if refusal then return refusal end
        if is_limited then count_device(op.user) end
    end
    if op.user then new_users[op.user] = true end
    op.action, op.new_version, op.was_registered = how, version, op.was_registered or is_registered(op, k)
    k[SESSION], k[VERSION], k[NODE], k[STATE] = op.session, version, node, op.state
    k[REGISTERED] = false
    if op.has_fields_only then k[RESUME] = op.resume end
    return 'ok ' .. version
end

local judge = {}

function judge.open(op, k)
    if is_registered(op, k) then return assign_entry(op, k, 'adopt', add_decimal(k[VERSION], 1)) end
    if k[NODE] then
        if k[SESSION] == op.session and k[NODE] == node then return 'ok' end
        return 'exists'
    end
    return assign_entry(op, k, 'open', '0')
end

-- An update by the owner. After "missing", the front-end opens the entry again with all its fields.
function judge.update(op, k)
    if not k[NODE] then return 'missing' end
    local refusal = check_ownership(op, k)
    if refusal then return refusal end
    if k[NODE] == '' then return 'missing' end
    local version, same = judge_version(op, k, op.version)
    if not version then return 'stale' end
    if not same then
        op.action, op.new_version = 'update', version
        k[VERSION], k[STATE] = version, op.state
    end
    return 'ok'
end

-- An update by a client that may not own the entry yet: creates, adopts or updates it. An expired
-- entry that another front-end still lists belongs to its client there, until that front-end opens it
-- again or releases it.
function judge.claim(op, k)
    if not k[NODE] then
        local other = k[ABSENT] and find_other_listing(op)
        local ends = other and lease_end(other) or 0
        if ends >= now then return 'owned ' .. other .. ' ' .. integer(ends) end
        local first = op.version == '+' and '1' or string.sub(op.version, 2)
        return assign_entry(op, k, 'open', first)
    end
    local refusal = check_ownership(op, k)
    -- A stale version must not close the owner's connection.
    if refusal and string.sub(refusal, 1, 5) ~= 'held ' then return refusal end
    local version, same = claimed_version(op, k), nil
    if version then version, same = judge_version(op, k, version) end
    if not version then return 'stale' end
    if refusal then return refusal end
    if same and k[NODE] == node then return 'ok ' .. version end
    return assign_entry(op, k, k[NODE] == node and 'update' or 'adopt', version)
end

-- A change by the owner of an entry that consists of fields only.
function judge.set(op, k)
    if not k[NODE] then return 'missing' end
    local refusal = check_ownership(op, k)
    if refusal then return refusal end
    if k[NODE] == '' then return 'missing' end
    if is_newer(op.version, k[VERSION]) then
        op.action, op.new_version = 'set', op.version
        k[VERSION] = op.version
    end
    return 'ok'
end

-- A client resumes an entry that consists of fields only, with the entry's secret.
function judge.resume(op, k)
    if not k[NODE] or stored_resume(op, k) ~= op.rule then return 'missing' end
    if k[SESSION] == op.session and k[NODE] == node then
        op.action, op.new_version = 'resumed', k[VERSION]
        return 'ok ' .. k[VERSION]
    end
    if k[NODE] ~= '' then
        local ends = lease_end(k[NODE])
        if k[NODE] ~= node and ends < now and not in_recovery then return 'dead ' .. k[NODE] end
        return 'owned ' .. k[NODE] .. ' ' .. integer(ends)
    end
    local user = call('HGET', op.key, 'user')
    if user then
        if not has_room_for_device(user) then return 'limit' end
        count_device(user)
    end
    op.action, op.new_version = 'resume', add_decimal(k[VERSION], 1)
    k[SESSION], k[VERSION], k[NODE] = op.session, op.new_version, node
    return 'ok ' .. op.new_version
end

-- Whether a restore would take the entry from another client.
local function belongs_to_other(op, k)
    if not op.has_fields_only and has_state(op, k) then return false end
    return not op.resume or stored_resume(op, k) ~= op.resume
end

-- An entry that a live session owns, restored after a new link, a new epoch or a lost lease.
function judge.restore(op, k)
    local wanted = op.version
    if not k[NODE] then
        op.restores = true
        local result = assign_entry(op, k, 'open', wanted)
        return string.sub(result, 1, 6) == 'taken ' and 'owned - 0' or result
    end
    local same, ours, ahead = k[SESSION] == op.session, k[NODE] == node, is_newer(wanted, k[VERSION])
    if k[NODE] ~= '' and not ours then
        if lease_end(k[NODE]) < now and not in_recovery then return 'dead ' .. k[NODE] end
        -- An adoption increases the version. So Redis was restored to a state before it, and the
        -- other front-end, whose client no longer has the entry, releases it soon: its audit does
        -- not wait.
        return (ahead or same) and 'waits' or 'owned ' .. k[NODE] .. ' 0'
    end
    if is_registered(op, k) then
        return assign_entry(op, k, 'adopt', ahead and wanted or add_decimal(k[VERSION], 1))
    end
    if not same and belongs_to_other(op, k) then return 'owned - 0' end
    if not ahead then
        if same and ours then
            op.action = 'index'
            return 'ok ' .. k[VERSION]
        end
        -- Another client had it after this session, and has left it; this session still exists.
        wanted, op.keeps_fields = k[VERSION], is_newer(k[VERSION], wanted)
    end
    -- Another session's entry may be a different one with the same id. A new `since` distinguishes
    -- it for those who have seen that one close.
    op.resets_since = not same
    return assign_entry(op, k, same and ours and op.state and 'update' or 'adopt', wanted)
end

-- The newest state that a session leaves, before its orphan. It never restores an entry that was
-- closed or orphaned meanwhile.
function judge.refresh(op, k)
    if k[NODE] ~= node or k[SESSION] ~= op.session then return 'missing' end
    return judge.restore(op, k)
end

function judge.close(op, k)
    if not k[NODE] then return close_expired(op, k) end
    local refusal = check_ownership(op, k)
    if refusal then return refusal end
    op.action, op.listed_by = 'close', k[NODE]
    k[NODE] = false
    entries = entries - 1
    return 'ok'
end

-- The connection of an entry was lost. The session is "" for an entry in the front-end's index that
-- none of its sessions owns.
function judge.orphan(op, k)
    if not k[NODE] then return in_recovery and await_reopen(op, k) or close_expired(op, k) end
    if k[NODE] ~= node and op.session == '' then return drop_listing(op) end
    if k[NODE] ~= node or (op.session ~= '' and k[SESSION] ~= op.session) then return 'missing' end
    op.action = 'orphan'
    op.at = now + grace
    k[NODE] = ''
    return 'ok'
end

-- The deadline of an orphan has passed.
function judge.reap(op, k)
    local at = call('ZSCORE', deadlines, 'c:' .. op.id)
    if not at then return 'missing' end
    if in_recovery or tonumber(at) > now then return 'waits' end
    op.listed_by = ''
    if k[NODE] and k[NODE] ~= '' then
        op.action = 'drop_deadline'
        return 'missing'
    end
    op.action, op.reason = 'close', 'expired'
    k[NODE], k[ABSENT] = false, nil
    entries = entries - 1
    return 'ok'
end

-- An entry of a front-end whose lease has ended becomes an orphan; its grace begins at that end.
function judge.orphan_node(op, k)
    local other = op.session
    local ends = lease_end(other)
    if in_recovery or ends >= now then return 'waits' end
    if k[NODE] and k[NODE] ~= other then
        return drop_listing(op) -- it expired, and was opened again
    end
    if not k[NODE] then return close_expired(op, k) end
    op.action, op.at = 'orphan', (ends > 0 and ends or now) + grace
    k[NODE] = ''
    return 'ok'
end

-- Removes a front-end without entries whose lease has ended, or which exits.
function judge.forget_node(op, k)
    if op.session ~= node and (in_recovery or lease_end(op.session) >= now) then return 'waits' end
    op.action = 'forget_node'
    return 'ok'
end

