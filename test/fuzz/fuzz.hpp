#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

/// \file
/// What each fuzz target is: conf_fuzz, proxy_protocol_fuzz.

namespace ngx::test {

/// Reads the text as what the target is about. Says whether it was taken; aborts when the reader
/// breaks a promise of its own.
bool reads(std::string_view text);

}  // namespace ngx::test

/// What libFuzzer calls with each input.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
