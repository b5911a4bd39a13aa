#pragma once

#include <array>
#include <string>
#include <string_view>

#include <boost/version.hpp>
#include <fmt/core.h>

#include "auto_build.hpp"
#include "core/conf_file.hpp"
#include "core/connection.hpp"
#include "core/cycle.hpp"
#include "core/module.hpp"
#include "core/module_api.hpp"
#include "event/event.hpp"

/// \file
/// The properties that a module and the server that loads it must share. The compiler that reads
/// this header sets each part, so a module records how it was built.
namespace ngx {

/// The parts, one per line, "compiler=gcc 12". The first line is a mark by which a file is searched
/// for them. The text ends in a zero byte.
///
/// nginx: NGX_MODULE_SIGNATURE, whose parts are digits
struct ModuleSignature {
    std::array<char, 512> text{};
};

inline constexpr std::string_view module_signature_mark = "[ngxx module signature]\n";

namespace signature_part {

#if defined(__clang__)
inline constexpr std::string_view compiler = "clang ";
inline constexpr std::size_t compiler_version = __clang_major__;
#else
inline constexpr std::string_view compiler = "gcc ";
inline constexpr std::size_t compiler_version = __GNUC__;
#endif

#if defined(_LIBCPP_VERSION)
inline constexpr std::string_view library = "libc++ ";
inline constexpr std::size_t library_version = _LIBCPP_VERSION;
#else
inline constexpr std::string_view library = "libstdc++ ";
inline constexpr std::size_t library_version = _GLIBCXX_RELEASE;
#endif

#if defined(_GLIBCXX_USE_CXX11_ABI) && !_GLIBCXX_USE_CXX11_ABI
inline constexpr std::string_view library_abi = " with the strings of before C++11";
#elif defined(_GLIBCXX_DEBUG)
inline constexpr std::string_view library_abi = " with _GLIBCXX_DEBUG";
#else
inline constexpr std::string_view library_abi;
#endif

#if defined(__SANITIZE_ADDRESS__)
inline constexpr std::string_view sanitizer = "address";
#elif defined(__has_feature)
# if __has_feature(address_sanitizer)
inline constexpr std::string_view sanitizer = "address";
# else
inline constexpr std::string_view sanitizer = "none";
# endif
#else
inline constexpr std::string_view sanitizer = "none";
#endif

}  // namespace signature_part

/// Builds a signature at compile time.
class ModuleSignatureWriter {
public:
    constexpr ModuleSignatureWriter& text(std::string_view text)
    {
        for (const char ch : text) {
            signature_.text[size_++] = ch;
        }
        return *this;
    }

    constexpr ModuleSignatureWriter& number(std::size_t value)
    {
        std::array<char, 20> digits{};
        std::size_t n = digits.size();
        do {
            digits[--n] = static_cast<char>('0' + value % 10);
            value /= 10;
        } while (value != 0);
        return text({&digits[n], digits.size() - n});
    }

    constexpr const ModuleSignature& signature() const noexcept { return signature_; }

private:
    ModuleSignature signature_{};
    std::size_t size_ = 0;
};

/// Returns the signature of the file that is being compiled.
consteval ModuleSignature make_module_signature()
{
    ModuleSignatureWriter w;
    w.text(module_signature_mark);
    w.text("module API=").number(module_api_version);
    w.text("\nversion=").text(server_version);
    w.text("\ncompiler=").text(signature_part::compiler).number(signature_part::compiler_version);
    w.text("\nC++ standard=").number(__cplusplus);
    w.text("\nC++ library=").text(signature_part::library);
    w.number(signature_part::library_version).text(signature_part::library_abi);
    w.text("\nBoost=").text(BOOST_LIB_VERSION);
    w.text("\nfmt=").number(FMT_VERSION);
    w.text("\nsanitizer=").text(signature_part::sanitizer);
    w.text("\noption with_debug=").text(have_debug ? "true" : "false");
    w.text("\noption stream=").text(have_stream ? "enabled" : "disabled");
    w.text("\nsize of Module=").number(sizeof(Module));
    w.text("\nsize of Cycle=").number(sizeof(Cycle));
    w.text("\nsize of Conf=").number(sizeof(Conf));
    w.text("\nsize of Listening=").number(sizeof(Listening));
    w.text("\nsize of Connection=").number(sizeof(Connection));
    w.text("\nsize of Event=").number(sizeof(Event));
    w.text("\n");
    return w.signature();
}

/// Returns the signature in the bytes of a file, from its mark to its end; empty if there is none.
std::string_view find_module_signature(std::string_view bytes) noexcept;

/// Checks that a file may be loaded. Returns error after logging the reason: it is no regular file,
/// no shared object, not complete, a module of nginx, not a module, or of another build. Does not
/// run code of the file, and does not block on it.
Rc check_module_file(Conf& cf, const std::string& file);

/// Checks that a module with this signature may run in this server. If not, logs what differs, with
/// both values, for the module `file`, and returns error: the version of the module API alone, or
/// the version of the server alone, or each part that differs.
Rc check_module_signature(Conf& cf, std::string_view file, std::string_view signature);

}  // namespace ngx
