// Package replay answers what other settings of a circuit breaker would have
// done, before anything is changed.
//
// Record keeps the newest calls of a manager's breakers in a fixed amount of
// memory, as a flight recorder does, and writes them to a file when a breaker
// trips, or when asked. Read reads the file. Then
//
//   - Trace.Verify replays the calls under the settings that were in effect, and
//     shows that the same transitions follow;
//   - Run replays them under other settings, and measures what these would have
//     done;
//   - Tune searches for settings that meet a goal.
//
// There is no model of a breaker in this package. Calls are replayed through a
// real breaker.Breaker under a virtual clock, so the engine that ships is the
// engine that is measured.
//
// # What a recording can and cannot tell
//
// A call that the breaker rejected while it was recorded has no outcome. If
// other settings would have let it run, it is unknown how it would have ended.
// So each figure carries a mark: exact, supported or assumed; see Trust. Stricter
// settings are answered nearly exactly. Looser ones would have seen calls that
// the recording does not hold, and Result.Warning says so. Also, the calls of a
// recording do not react to what other settings would have done: a dependency
// that recovers as soon as calls are rejected does not do so in a replay.
package replay
