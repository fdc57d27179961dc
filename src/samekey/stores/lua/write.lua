-- Writes rows and events of one identity, if it is still as its writer saw it; else says what it is now.
--
-- KEYS: meta, order, by_key, open, due, newest, operations, actions, bodies, timelines; then the keys of searches for
-- duplicates.
-- ARGV: what is asked, as JSON, for a script is handed one argument faster than forty; then of each row its tombstone and
-- its whole record. All that is asked are texts, in one array: the store's id; the version that is expected, '' where the
-- identity must be new; the version that is written; the writer's clock or '', and how far it may be from this server's;
-- an operation and its scope names, or '' and ''; since when to search duplicates (in key 11) or '', and whether to refuse
-- them; the identity; how keys of bodies begin; when bodies and timelines may expire ('' for never), and how much later
-- they do; then three arrays: rows of ten, generations whose timelines go, events of two.
--
-- The last two of a row are when it was first sent and until when its lease goes, by this server's clock: '+' and how long
-- from now, a time as it is, '-' for none, '' for what it was.
--
-- Times are microseconds since 1970, and durations too.
--
-- A version names one write and no other, so the same write again finds itself done.
local meta, order, by_key, open, due, newest, operations, actions, bodies, timelines = unpack(KEYS)
local asked = cjson.decode(ARGV[1])
local id, expected, version, writer, skew, operation, names = unpack(asked, 1, 7)
local since, refuse, identity, bodies_start, expires, grace, rows, forgotten, events = unpack(asked, 8)

if redis.call('HGET', meta, 'id') ~= id then
    return {'gone'}
end
local first = rows[1] and rows[1][1] or ''
local known = redis.call('HMGET', actions, 'v', 'expires', 'told', 's' .. first)
local found = known[1] or ''
if found == version then
    return redis.status_reply('OK')
end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
if writer ~= '' and math.abs(now - tonumber(writer)) > tonumber(skew) then
    return {'clock', string.format('%d', now - tonumber(writer))}
end
if operation ~= '' then
    local before = redis.call('HGET', operations, operation)
    if before and before ~= names then
        return {'names', before}
    end
end
if found ~= expected then
    return {
        'state',
        redis.call('HGETALL', actions),
        redis.call('HGETALL', bodies),
        redis.call('GET', newest) or '',
        string.format('%d', now),
    }
end

local duplicate = ''
if since ~= '' then
    local from = 0
    while duplicate == '' do
        local others = redis.call('ZREVRANGEBYSCORE', KEYS[11], '+inf', since, 'LIMIT', from, 16)
        for _, member in ipairs(others) do
            local generation, other = string.match(member, '^%d+:(%d+):(.*)$')
            if other ~= identity and duplicate == '' then
                duplicate = redis.call('HGET', bodies_start .. other, generation) or ''
            end
        end
        if #others < 16 then
            break
        end
        from = from + 16
    end
    if duplicate ~= '' and refuse == '1' then
        return {'duplicate', duplicate}
    end
end

if operation ~= '' then
    redis.call('HSETNX', operations, operation, names)
end

local function moment(text)
    if string.sub(text, 1, 1) == '+' then
        return string.format('%d', now + tonumber(string.sub(text, 2)))
    end
    return text == '-' and '' or text
end

local told = known[3]
local written = {'v', version, 'expires', expires}
for i, row in ipairs(rows) do
    local generation, key, is_open, due_at, created, used, guard, unguard, sent, lease = unpack(row)
    local stone, body = ARGV[2 * i], ARGV[2 * i + 1]
    local number = known[4]
    if generation ~= first then
        number = redis.call('HGET', actions, 's' .. generation)
    end
    local is_new = not number
    if is_new then
        number = string.format('%016d', redis.call('ZCARD', order) + 1) -- nothing ever leaves it
    end
    local member = number .. ':' .. generation .. ':' .. identity
    if is_new then
        written[#written + 1] = 's' .. generation
        written[#written + 1] = number
        redis.call('SET', newest, created)
        redis.call('ZADD', order, number, member)
        redis.call('ZADD', by_key, 0, key .. '\0' .. member)
    end
    written[#written + 1] = 'g' .. generation
    written[#written + 1] = stone
    if sent ~= '' then
        written[#written + 1] = 'f' .. generation
        written[#written + 1] = moment(sent)
    end
    if lease ~= '' then
        written[#written + 1] = 'l' .. generation
        written[#written + 1] = moment(lease)
    end
    if body ~= '' then
        redis.call('HSET', bodies, generation, body)
    else
        redis.call('HDEL', bodies, generation)
    end
    if is_open == '1' then
        redis.call('ZADD', open, number, member)
    elseif not is_new then
        redis.call('ZREM', open, member)
    end
    if due_at ~= '' then
        redis.call('ZADD', due, due_at, member)
    elseif not is_new then
        redis.call('ZREM', due, member)
    end
    if unguard ~= '' then
        redis.call('ZREM', KEYS[tonumber(unguard)], member)
    end
    if guard ~= '' then
        redis.call('ZADD', KEYS[tonumber(guard)], used, member)
    end
end
for _, generation in ipairs(forgotten) do
    local start = generation .. ':'
    for _, line in ipairs(redis.call('LRANGE', timelines, 0, -1)) do
        if string.sub(line, 1, string.len(start)) == start then
            redis.call('LREM', timelines, 1, line)
        end
    end
end
if #events > 0 and not told then
    told = '1'
    written[#written + 1] = 'told'
    written[#written + 1] = told
end
redis.call('HSET', actions, unpack(written))
for _, event in ipairs(events) do
    redis.call('RPUSH', timelines, event[1] .. ':' .. event[2])
end

if expires == '' then
    if known[2] and known[2] ~= '' then
        redis.call('PERSIST', bodies)
        if told then
            redis.call('PERSIST', timelines)
        end
    end
else
    local last = string.format('%d', (math.max(tonumber(expires), now) + tonumber(grace)) / 1000)
    redis.call('PEXPIREAT', bodies, last)
    if told then
        redis.call('PEXPIREAT', timelines, last)
    end
end
if duplicate == '' then
    return redis.status_reply('OK')
end
return {'ok', duplicate}
