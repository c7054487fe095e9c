-- events: encodes event messages (docs/redis-keys.md). A part of apply, read and the repair scripts.
--
-- Takes: event_head (formats.lua).
-- Gives: text, PRIVATE, encode_field, encode_hash, append_event, event_list, event_message.

-- Lengths as text. Lua's own conversion calls printf each time.
local text = setmetatable({}, {__index = function(t, n)
    t[n] = string.format('%d', n)
    return t[n]
end})

-- Fields of an entry that no event contains; the version has a place of its own.
local PRIVATE = {session = true, version = true, resume = true, probe = true, certificate = true}

local function encode_field(field, value)
    return text[#field] .. ' ' .. text[#value] .. '\n' .. field .. value
end
-- Returns the body with all fields of a reply to HGETALL except the hidden ones, and the version.
local function encode_hash(all, hidden)
    local body, n, version = {}, 0, ''
    for i = 1, #all, 2 do
        local field, value = all[i], all[i + 1]
        if field == 'version' then version = value end
        if not hidden[field] then
            n = n + 1
            body[n] = text[#field] .. ' ' .. text[#value] .. '\n' .. field .. value
        end
    end
    return table.concat(body), version
end

local event_list = {}
local function append_event(name, id, version, body)
    event_list[#event_list + 1] = name .. ' ' .. text[#id] .. ' ' .. text[#version] .. ' ' ..
                                  text[#body] .. '\n' .. id .. version .. body
end
-- The message with all events appended so far; revision: that of the first.
local function event_message(format, epoch, revision)
    return event_head(format, epoch, revision, #event_list) .. table.concat(event_list)
end
