-- An answer. KEYS: when each was last asked for, when each ends, how large each is, how large all are; the answer's own.
local answer = redis.call('GET', KEYS[5])
if answer then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[1], 'XX', time[1] * 1000 + math.floor(time[2] / 1000), KEYS[5])
end
return answer
