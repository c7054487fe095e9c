-- An operation's strings by kind; the id is the end of its key.
local at, key = 7, 6
local id_at = #prefix + #'client:' + 1
local function take()
    at = at + 1
    return ARGV[at - 1]
end
local function take_fields(op)
    local n = tonumber(take())
    op.fields, op.last = at, at + n - 1
    at = at + n
    if ARGV[op.fields] == 'state' then
        op.state, op.certificate = ARGV[op.fields + 1], ARGV[op.fields + 2] == 'certificate'
        return
    end
    op.is_made_of_fields, op.resume, op.user = true, false, false
    for i = op.fields, op.last, 2 do
        local field = ARGV[i]
        if field == 'resume' or field == 'user' then op[field] = ARGV[i + 1] end
    end
end
local function take_other(op)
    op.session, op.index = take(), KEYS[key]
    key = key + 1
end
local read = {}
function read.update(op) op.session, op.version, op.state = take(), take(), take() end
function read.open(op) op.session = take() take_fields(op) end
function read.restore(op) op.session, op.version = take(), take() take_fields(op) end
read.refresh = read.restore
function read.claim(op) op.session, op.version, op.rule = take(), take(), take() take_fields(op) end
function read.set(op)
    op.session, op.version = take(), take()
    take_fields(op)
    local m = tonumber(take())
    op.gone, op.last_gone = at, at + m - 1
    at = at + m
end
function read.resume(op) op.session, op.rule = take(), take() take_fields(op) end
function read.close(op) op.session, op.rule = take(), take() end
function read.orphan(op) op.session = take() end
function read.ended(op) op.session, op.since, op.version = take(), tonumber(take()), take() end
function read.reap() end
read.orphan_node, read.forget_node = take_other, take_other
-- Those on rooms; what is judged of them, apply_rooms.lua judges.
local room_at = #prefix + #'room:' + 1
local function take_member(op, kind)
    op.room, op.id, op.member = kind, string.sub(op.key, room_at), take()
end
function read.join(op)
    take_member(op, 'join')
    op.user, op.most, op.number = take(), tonumber(take()), take()
end
function read.leave(op) take_member(op, 'leave') op.number = take() end
function read.evict_member(op) take_member(op, 'evict_member') op.other = take() end
function read.publish(op) take_member(op, 'publish') op.number, op.message = take(), take() end

local ops, results, total = {}, {}, 0

-- Before the hash of an ended entry goes: its line says which it was. What a TTL has ended was
-- opened before now.
local function note_end(op, i)
    local k = redis.pcall('HMGET', op.key, 'since', 'session', 'version')
    results[i] = 'ok ended ' .. (k[1] or integer(now)) .. ' ' .. (k[2] or '-') .. ' ' ..
                 (k[3] or LARGEST)
end
