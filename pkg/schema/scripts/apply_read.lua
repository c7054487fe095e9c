-- apply_read: reads the arguments of operations. A part of apply (apply.lua).
--
-- Each function `read.<operation>(op)` sets the members of op. The id is the end of the operation's
-- key. Fields remain in ARGV: op.fields to op.last are the indexes of their first and last string.
--
-- Takes: from apply.lua and apply_entries.lua.
-- Gives: at, key (the next argument and key), id_at, next_arg, read_fields, read, record_end.
local at, key = 7, 6
local id_at = #prefix + #'client:' + 1
local function next_arg()
    at = at + 1
    return ARGV[at - 1]
end
local function read_fields(op)
    local n = tonumber(next_arg())
    op.fields, op.last = at, at + n - 1
    at = at + n
    if ARGV[op.fields] == 'state' then
        op.state, op.certificate = ARGV[op.fields + 1], ARGV[op.fields + 2] == 'certificate'
        return
    end
    op.has_fields_only, op.resume, op.user = true, false, false
    for i = op.fields, op.last, 2 do
        local field = ARGV[i]
        if field == 'resume' or field == 'user' then op[field] = ARGV[i + 1] end
    end
end
local function read_node(op)
    op.session, op.index = next_arg(), KEYS[key]
    key = key + 1
end
local read = {}
function read.update(op) op.session, op.version, op.state = next_arg(), next_arg(), next_arg() end
function read.open(op) op.session = next_arg() read_fields(op) end
function read.restore(op) op.session, op.version = next_arg(), next_arg() read_fields(op) end
read.refresh = read.restore
function read.claim(op) op.session, op.version, op.rule = next_arg(), next_arg(), next_arg() read_fields(op) end
function read.set(op)
    op.session, op.version = next_arg(), next_arg()
    read_fields(op)
    local m = tonumber(next_arg())
    op.first_deleted, op.last_deleted = at, at + m - 1
    at = at + m
end
function read.resume(op) op.session, op.rule = next_arg(), next_arg() read_fields(op) end
function read.close(op) op.session, op.rule = next_arg(), next_arg() end
function read.orphan(op) op.session = next_arg() end
function read.ended(op)
    op.session, op.since, op.version = next_arg(), tonumber(next_arg()), next_arg()
end
function read.reap() end
read.orphan_node, read.forget_node = read_node, read_node
-- Operations on rooms, which apply_rooms.lua judges.
local room_at = #prefix + #'room:' + 1
local function read_member(op, kind)
    op.room, op.id, op.member = kind, string.sub(op.key, room_at), next_arg()
end
function read.join(op)
    read_member(op, 'join')
    op.user, op.max_members, op.rooms, op.number = next_arg(), tonumber(next_arg()), next_arg(), next_arg()
end
function read.leave(op) read_member(op, 'leave') op.number = next_arg() end
function read.evict_member(op) read_member(op, 'evict_member') op.other = next_arg() end
function read.publish(op) read_member(op, 'publish') op.number, op.message = next_arg(), next_arg() end

-- Called before the hash of a closed entry is deleted: the result line identifies the entry. An entry
-- whose hash has expired was opened before now.
local function record_end(op, i)
    local k = redis.pcall('HMGET', op.key, 'since', 'session', 'version')
    results[i] = 'ok ended ' .. (k[1] or integer(now)) .. ' ' .. (k[2] or '-') .. ' ' ..
                 (k[3] or LARGEST)
end
