-- How wrk asks, by the mode given after "--", and its report as one line of JSON.

function init(arguments)
   local mode = arguments[1]
   if mode == "close" then
      wrk.headers["Connection"] = "close"
   elseif mode == "upload" then
      wrk.method = "POST"
      wrk.body = string.rep("x", 1048576)
   end
   local message = wrk.format()
   if mode == "pipeline" then
      message = string.rep(message, 16)
   end
   request = function() return message end
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '\n{"answers":%d,"micros":%d,"errors":%d,"p50":%d,"p99":%d,"p999":%d}\n',
      summary.requests, summary.duration,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout,
      latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
