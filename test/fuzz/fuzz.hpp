#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

/// \file
/// The interface of the fuzz targets: conf_fuzz, proxy_protocol_fuzz, reader_fuzz.

namespace ngx::test {

/// Parses the input. Returns whether it was accepted; aborts if the parser breaks one of its
/// promises.
bool reads(std::string_view text);

}  // namespace ngx::test

/// libFuzzer calls this function with each input.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
