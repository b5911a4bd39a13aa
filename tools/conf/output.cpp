#include "tools/conf/output.hpp"

#include <cerrno>
#include <cstdint>
#include <fmt/format.h>
#include <stdexcept>
#include <system_error>

namespace ngx::conf {

namespace {

/// A character of a UTF-8 text, or U+FFFD for `length` bytes that are none.
struct Character {
    std::uint32_t code;
    std::size_t length;
};

constexpr std::uint32_t replacement = 0xFFFD;

/// The smallest and largest second byte, and the length, by the first byte of a UTF-8 sequence.
struct Sequence {
    unsigned char first, last;  // of the first byte
    unsigned char least, most;  // of the second byte
    std::uint32_t length;
};

constexpr Sequence sequences[] = {
    {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3},
    {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
    {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
};

/// Decodes the character at the beginning of a text. As in Python, the longest beginning of a valid
/// sequence is one error.
Character decode(std::string_view text)
{
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    if (byte(0) < 0x80) {
        return {byte(0), 1};
    }
    for (const Sequence& sequence : sequences) {
        if (byte(0) < sequence.first || byte(0) > sequence.last) {
            continue;
        }
        std::uint32_t code = byte(0) & (0xFFU >> (sequence.length + 1));
        for (std::size_t i = 1; i < sequence.length; i++) {
            const unsigned char least = i == 1 ? sequence.least : 0x80;
            const unsigned char most = i == 1 ? sequence.most : 0xBF;
            if (i == text.size() || byte(i) < least || byte(i) > most) {
                return {replacement, i};
            }
            code = (code << 6) | (byte(i) & 0x3FU);
        }
        return {code, sequence.length};
    }
    return {replacement, 1};
}

void escape(std::string& out, std::uint32_t code)
{
    switch (code) {
    case '"':
        out += "\\\"";
        return;
    case '\\':
        out += "\\\\";
        return;
    case '\n':
        out += "\\n";
        return;
    case '\r':
        out += "\\r";
        return;
    case '\t':
        out += "\\t";
        return;
    case '\f':
        out += "\\f";
        return;
    case '\b':
        out += "\\b";
        return;
    }
    if (code < 0x10000) {
        fmt::format_to(std::back_inserter(out), "\\u{:04x}", code);
        return;
    }
    code -= 0x10000;
    fmt::format_to(std::back_inserter(out), "\\u{:04x}\\u{:04x}", 0xD800 + (code >> 10),
                   0xDC00 + (code & 0x3FF));
}

constexpr bool is_plain(char ch)
{
    return ch >= ' ' && ch <= '~' && ch != '"' && ch != '\\';
}

constexpr std::uint32_t latin1_characters = 0x100;

}  // namespace

bool is_utf8(std::string_view bytes)
{
    while (!bytes.empty()) {
        const Character character = decode(bytes);
        // The character itself has three bytes, too.
        if (character.code == replacement && !bytes.starts_with("\xEF\xBF\xBD")) {
            return false;
        }
        bytes.remove_prefix(character.length);
    }
    return true;
}

std::string from_latin1(std::string_view bytes)
{
    std::string text;
    for (const char ch : bytes) {
        const auto byte = static_cast<unsigned char>(ch);
        if (byte < 0x80) {
            text += ch;
        } else {
            text += static_cast<char>(0xC0 | (byte >> 6));
            text += static_cast<char>(0x80 | (byte & 0x3F));
        }
    }
    return text;
}

std::string to_latin1(std::string_view text)
{
    std::string bytes;
    while (!text.empty()) {
        const Character character = decode(text);
        if (character.code >= latin1_characters) {
            throw std::runtime_error(fmt::format("\"{}\" is not in Latin-1, in which the file is",
                                                 text.substr(0, character.length)));
        }
        bytes += static_cast<char>(character.code);
        text.remove_prefix(character.length);
    }
    return bytes;
}

void fail_with_errno(const std::string& name)
{
    throw std::system_error(errno, std::generic_category(), name.empty() ? "stdout" : name);
}

Output::Output(const std::string& name) : name_(name == "-" ? "" : name)
{
    file_ = name_.empty() ? stdout : std::fopen(name_.c_str(), "we");
    if (!file_) {
        fail_with_errno(name_);
    }
}

Output::~Output()
{
    if (file_ != stdout && file_) {
        std::fclose(file_);
    }
}

void Output::flush()
{
    if (std::fwrite(buffer_.data(), 1, buffer_.size(), file_) != buffer_.size()) {
        fail_with_errno(name_);
    }
    buffer_.clear();
}

void Output::finish()
{
    flush();
    if (std::fflush(file_) != 0) {
        fail_with_errno(name_);
    }
}

void JsonWriter::line()
{
    if (indent_) {
        out_ << '\n';
        for (std::size_t i = 0; i < filled_.size() * *indent_; i++) {
            out_ << ' ';
        }
    }
}

/// Writes the separator before a key or value.
void JsonWriter::next()
{
    if (behind_key_) {
        behind_key_ = false;
        return;
    }
    if (filled_.empty()) {
        return;
    }
    if (filled_.back()) {
        out_ << ',';
    }
    filled_.back() = true;
    line();
}

void JsonWriter::begin(char bracket)
{
    next();
    if (indent_ && filled_.size() == most_levels) {
        throw std::length_error(fmt::format(
            "the JSON has more than {} levels: write it without --indent", most_levels));
    }
    out_ << bracket;
    filled_.push_back(false);
}

void JsonWriter::end(char bracket)
{
    const bool filled = filled_.back();
    filled_.pop_back();
    if (filled) {
        line();
    }
    out_ << bracket;
}

void JsonWriter::key(std::string_view name)
{
    string(name);
    out_ << (indent_ ? ": " : ":");
    behind_key_ = true;
}

void JsonWriter::string(std::string_view bytes)
{
    next();
    out_ << '"';
    std::string escaped;
    while (!bytes.empty()) {
        std::size_t plain = 0;
        while (plain < bytes.size() && is_plain(bytes[plain])) {
            plain++;
        }
        out_ << bytes.substr(0, plain);
        bytes.remove_prefix(plain);
        if (!bytes.empty()) {
            const Character character = decode(bytes);
            escaped.clear();
            escape(escaped, character.code);
            out_ << escaped;
            bytes.remove_prefix(character.length);
        }
    }
    out_ << '"';
}

void JsonWriter::number(std::size_t value)
{
    next();
    out_ << fmt::format_int(value).c_str();
}

void JsonWriter::null()
{
    next();
    out_ << "null";
}

}  // namespace ngx::conf
