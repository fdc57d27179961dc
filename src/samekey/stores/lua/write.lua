-- Writes rows and events of one identity, if it is still as its writer saw it; else says what it is now.
--
-- KEYS: meta, actions, bodies, timelines, order, by_key, open, due, sequence, newest, operations; then the keys of
-- searches for duplicates.
-- ARGV: the store's id; the version that is expected, '' where the identity must be new; the version that is written;
-- the writer's clock or '', and how far it may be from this server's; an operation and its scope names, or '' and '';
-- since when to search duplicates (in key 12) or '', and whether to refuse them; the identity; how keys of bodies begin;
-- when bodies and timelines may expire ('' for never), and how much later they do; then three lists with their lengths:
-- rows of nine, generations whose timelines go, events of two.
--
-- A version names one write and no other, so the same write again finds itself done.
local meta, actions, bodies, timelines, order, by_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local open, due, sequence, newest, operations = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]

if redis.call('HGET', meta, 'id') ~= ARGV[1] then
    return {'gone'}
end
local known = redis.call('HMGET', actions, 'v', 'expires')
local version = known[1] or ''
if version == ARGV[3] then
    return {'ok', ''}
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
    }
end

local duplicate = ''
if ARGV[8] ~= '' then
    local from = 0
    while duplicate == '' do
        local found = redis.call('ZREVRANGEBYSCORE', KEYS[12], '+inf', ARGV[8], 'LIMIT', from, 16)
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
local written = {'v', ARGV[3], 'expires', ARGV[12]}
local at = 14
for _ = 1, tonumber(ARGV[at]) do
    local generation, key, stone, body = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
    local is_open, expires, created = ARGV[at + 5], ARGV[at + 6], ARGV[at + 7]
    local guard, unguard = ARGV[at + 8], ARGV[at + 9]
    at = at + 9
    local number = redis.call('HGET', actions, 's' .. generation)
    local is_new = not number
    if is_new then
        number = string.format('%016.0f', redis.call('INCR', sequence))
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
redis.call('HSET', actions, unpack(written))

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
for _ = 1, tonumber(ARGV[at]) do
    redis.call('RPUSH', timelines, ARGV[at + 1] .. ':' .. ARGV[at + 2])
    at = at + 2
end

if ARGV[12] == '' then
    if known[2] and known[2] ~= '' then
        redis.call('PERSIST', bodies)
        redis.call('PERSIST', timelines)
    end
else
    local last = string.format('%.0f', (math.max(tonumber(ARGV[12]), now) + tonumber(ARGV[13])) * 1000)
    redis.call('PEXPIREAT', bodies, last)
    redis.call('PEXPIREAT', timelines, last)
end
return {'ok', duplicate}
