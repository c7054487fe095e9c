-- sweep: each front-end's word of every second: renews its lease, notices that Redis stood still
-- or that its clock jumped, and lists what is due. It changes no entry: what it lists is judged
-- again, and told, by apply.
--
-- KEYS  1 head  2 nodes  3 deadlines  4 node:<self>  5 members:<self>  6 registered
-- ARGV  1 epoch  2 node  3 link  4 lease ms  5 hold ms  6 longest deadline ms  7 most to list
--       8 longest registration ms  9 ms by which a registration is overdue before it is listed
--       10 the front-end's reader of formats  11 revision of the shared settings that it runs with
--       12 longest lease of any front-end ms
-- Returns {"ok", revision, now, hold until, entries in node:<self>, {due}, {dead nodes},
--       members in members:<self>, {registrations due}}
--      or {"epoch"}, {"link"}, {"lease"} or {"format"}: say hello again
--      or {"shared", revision}: the shared settings have been changed, read them first
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function integer(n) return string.format('%.0f', n) end

local h = call('HMGET', KEYS[1], 'epoch', 'revision', 'link:' .. ARGV[2], 'hold_until', 'last',
               'reader', 'shared')
if h[1] ~= ARGV[1] then return {'epoch'} end
if (tonumber(h[6] or 1) or math.huge) > tonumber(ARGV[10]) then return {'format'} end
local shared = tonumber(h[7] or 0) or 0
if shared > tonumber(ARGV[11]) then return {'shared', integer(shared)} end
if shared < tonumber(ARGV[11]) then call('HSET', KEYS[1], 'shared', ARGV[11]) end
if string.match(h[3] or '', '^%d+') ~= ARGV[3] then return {'link'} end

local hold, since = tonumber(h[4] or 0), now - tonumber(h[5] or now)
if since > tonumber(ARGV[12]) or since < 0 then
    hold = now + ARGV[5]
    call('HSET', KEYS[1], 'hold_until', integer(hold))
elseif since > ARGV[12] * 2 / 3 and hold < now + ARGV[12] then
    -- Leases may have ended only because nobody could renew them: time for that.
    hold = now + ARGV[12]
    call('HSET', KEYS[1], 'hold_until', integer(hold))
end
-- A clock that jumped back must not make a hold, leases and deadlines last longer than they may.
if hold > now + ARGV[5] then
    hold = now + ARGV[5]
    call('HSET', KEYS[1], 'hold_until', integer(hold))
end
for _, bound in ipairs({{KEYS[2], now + ARGV[12]}, {KEYS[3], now + ARGV[6]},
                          {KEYS[6], now + ARGV[8]}}) do
    local latest = integer(bound[2])
    for _, member in ipairs(call('ZRANGEBYSCORE', bound[1], '(' .. latest, '+inf', 'LIMIT', 0,
                                 ARGV[7])) do
        call('ZADD', bound[1], latest, member)
    end
end
call('HSET', KEYS[1], 'last', integer(now))

local lease = tonumber(call('ZSCORE', KEYS[2], ARGV[2]) or 0)
if lease == 0 or (lease < now and now >= hold) then return {'lease'} end
call('ZADD', KEYS[2], integer(now + ARGV[4]), ARGV[2])

local due, dead, registered = {}, {}, {}
if now >= hold then
    due = call('ZRANGEBYSCORE', KEYS[3], '-inf', integer(now), 'LIMIT', 0, ARGV[7])
    dead = call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. integer(now), 'LIMIT', 0, 16)
    registered = call('ZRANGEBYSCORE', KEYS[6], '-inf', integer(now - ARGV[9]), 'LIMIT', 0, ARGV[7])
end
return {'ok', h[2] or '0', integer(now), integer(hold), call('HLEN', KEYS[4]), due, dead,
        call('HLEN', KEYS[5]), registered}
