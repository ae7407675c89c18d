-- Forgets so many answers, or tells what there is. KEYS: when each was last asked for, when each ends, how large each is,
-- how large all are. ARGV: how many; 0: none, then the answer is how many there are, and their size.
local used, ends, sizes, bytes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local function forget(name)
  local size = tonumber(redis.call('HGET', sizes, name) or '0')
  redis.call('ZREM', used, name)
  redis.call('ZREM', ends, name)
  redis.call('HDEL', sizes, name)
  redis.call('DECRBY', bytes, size)
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 1000)) do forget(name) end
if ARGV[1] == '0' then return { redis.call('ZCARD', used), tonumber(redis.call('GET', bytes) or '0') } end
local gone = 0
for _, name in ipairs(redis.call('ZRANGE', used, 0, tonumber(ARGV[1]) - 1)) do
  redis.call('UNLINK', name)
  forget(name)
  gone = gone + 1
end
return gone
