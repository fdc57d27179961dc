-- Writes rows and events of one identity, if it is still as its writer saw it; else says what it is now.
--
-- KEYS: meta, actions, bodies, timelines, order, by_key, open, due, newest, operations; then the keys of searches for
-- duplicates.
-- ARGV: the store's id; the version that is expected, '' where the identity must be new; the version that is written;
-- the writer's clock or '', and how far it may be from this server's; an operation and its scope names, or '' and '';
-- since when to search duplicates (in key 11) or '', and whether to refuse them; the identity; how keys of bodies begin;
-- when bodies and timelines may expire ('' for never), and how much later they do; then three lists with their lengths:
-- rows of eleven, generations whose timelines go, events of two.
--
-- The last two of a row are when it was first sent and until when its lease goes, by this server's clock: '+' and how many
-- seconds from now, a time as it is, '-' for none, '' for what it was.
--
-- A version names one write and no other, so the same write again finds itself done.
local meta, actions, bodies, timelines, order, by_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local open, due, newest, operations = KEYS[7], KEYS[8], KEYS[9], KEYS[10]

if redis.call('HGET', meta, 'id') ~= ARGV[1] then
    return {'gone'}
end
local first = ARGV[15] or ''
local known = redis.call('HMGET', actions, 'v', 'expires', 'told', 's' .. first)
local version = known[1] or ''
if version == ARGV[3] then
    return redis.status_reply('OK')
end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
if ARGV[4] ~= '' and math.abs(now - tonumber(ARGV[4])) > tonumber(ARGV[5]) then
    return {'clock', string.format('%.3f', now - tonumber(ARGV[4]))}
end
if ARGV[6] ~= '' then
    local names = redis.call('HGET', operations, ARGV[6])
    if names and names ~= ARGV[7] then
        return {'names', names}
    end
end
if version ~= ARGV[2] then
    return {
        'state',
        redis.call('HGETALL', actions),
        redis.call('HGETALL', bodies),
        redis.call('GET', newest) or '',
        string.format('%.6f', now),
    }
end

local duplicate = ''
if ARGV[8] ~= '' then
    local from = 0
    while duplicate == '' do
        local found = redis.call('ZREVRANGEBYSCORE', KEYS[11], '+inf', ARGV[8], 'LIMIT', from, 16)
        for _, member in ipairs(found) do
            local generation, identity = string.match(member, '^%d+:(%d+):(.*)$')
            if identity ~= ARGV[10] and duplicate == '' then
                duplicate = redis.call('HGET', ARGV[11] .. identity, generation) or ''
            end
        end
        if #found < 16 then
            break
        end
        from = from + 16
    end
    if duplicate ~= '' and ARGV[9] == '1' then
        return {'duplicate', duplicate}
    end
end

if ARGV[6] ~= '' then
    redis.call('HSETNX', operations, ARGV[6], ARGV[7])
end

local function moment(text)
    if string.sub(text, 1, 1) == '+' then
        return string.format('%.6f', now + tonumber(string.sub(text, 2)))
    end
    return text == '-' and '' or text
end

local told = known[3]
local written = {'v', ARGV[3], 'expires', ARGV[12]}
local at = 14
for _ = 1, tonumber(ARGV[at]) do
    local generation, key, stone, body = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
    local is_open, expires, created = ARGV[at + 5], ARGV[at + 6], ARGV[at + 7]
    local guard, unguard = ARGV[at + 8], ARGV[at + 9]
    local sent, lease = ARGV[at + 10], ARGV[at + 11]
    at = at + 11
    local number = known[4]
    if generation ~= first then
        number = redis.call('HGET', actions, 's' .. generation)
    end
    local is_new = not number
    if is_new then
        number = string.format('%016.0f', redis.call('ZCARD', order) + 1) -- nothing ever leaves it
    end
    local member = number .. ':' .. generation .. ':' .. ARGV[10]
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
    if expires ~= '' then
        redis.call('ZADD', due, expires, member)
    elseif not is_new then
        redis.call('ZREM', due, member)
    end
    if unguard ~= '' then
        redis.call('ZREM', KEYS[tonumber(unguard)], member)
    end
    if guard ~= '' then
        redis.call('ZADD', KEYS[tonumber(guard)], created, member)
    end
end
at = at + 1
for _ = 1, tonumber(ARGV[at]) do
    at = at + 1
    local start = ARGV[at] .. ':'
    for _, line in ipairs(redis.call('LRANGE', timelines, 0, -1)) do
        if string.sub(line, 1, string.len(start)) == start then
            redis.call('LREM', timelines, 1, line)
        end
    end
end
at = at + 1
if ARGV[at] ~= '0' and not told then
    told = '1'
    written[#written + 1] = 'told'
    written[#written + 1] = told
end
redis.call('HSET', actions, unpack(written))
for _ = 1, tonumber(ARGV[at]) do
    redis.call('RPUSH', timelines, ARGV[at + 1] .. ':' .. ARGV[at + 2])
    at = at + 2
end

if ARGV[12] == '' then
    if known[2] and known[2] ~= '' then
        redis.call('PERSIST', bodies)
        if told then
            redis.call('PERSIST', timelines)
        end
    end
else
    local last = string.format('%.0f', (math.max(tonumber(ARGV[12]), now) + tonumber(ARGV[13])) * 1000)
    redis.call('PEXPIREAT', bodies, last)
    if told then
        redis.call('PEXPIREAT', timelines, last)
    end
end
if duplicate == '' then
    return redis.status_reply('OK')
end
return {'ok', duplicate}
