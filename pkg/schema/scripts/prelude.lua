-- prelude: the beginning of every script that needs the time.
--
-- Gives: call; now, Redis's time in ms since 1970; integer, which formats a number.
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function integer(n) return string.format('%.0f', n) end
