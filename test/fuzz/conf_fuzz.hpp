#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ngx::test {

/// Reads the text as an nginx.conf: words, directives, blocks, and the defaults of what it leaves
/// unset. Says whether it was taken. Nothing is opened, bound, looked up or written, whatever the
/// text says; a file it includes is the text itself, if it is called nginx.conf, and missing
/// otherwise. Aborts when the parser breaks a promise of its own: a text that is refused gets
/// exactly one error, one that is taken gets none and is dumped whole.
bool reads(std::string_view text);

}  // namespace ngx::test

/// What libFuzzer calls with each input.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
