#pragma once

#include <cstddef>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ngx::conf {

/// The most levels of blocks, or of JSON, that get an indent: the size of a deeper text would grow
/// with the square of its levels.
inline constexpr std::size_t most_levels = 200;

/// Throws std::system_error with errno and the name of a file. An empty name stands for the
/// standard output.
[[noreturn]] void fail_with_errno(const std::string& name);

/// Returns whether bytes are a text in UTF-8.
bool is_utf8(std::string_view bytes);

/// Returns UTF-8 that has one character for each byte, that of Latin-1.
std::string from_latin1(std::string_view bytes);

/// Returns the bytes of such a text. Throws std::runtime_error if a character is not in Latin-1.
std::string to_latin1(std::string_view text);

/// A text that is written to a file or to the standard output, in parts of a bounded size.
class Output {
public:
    /// An empty name, and "-", stand for the standard output. Throws std::system_error.
    explicit Output(const std::string& name);
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;
    ~Output();

    Output& operator<<(std::string_view text)
    {
        buffer_ += text;
        if (buffer_.size() > part) {
            flush();
        }
        return *this;
    }
    Output& operator<<(char ch) { return *this << std::string_view(&ch, 1); }

    /// Writes the rest. Throws std::system_error.
    void finish();

private:
    static constexpr std::size_t part = 65536;
    void flush();

    std::string name_;
    std::FILE* file_;
    std::string buffer_{};
};

/// Writes JSON with the spaces and escapes of Python's json.dumps(), without a tree in memory.
class JsonWriter {
public:
    /// Without an indent everything is in one line, without spaces. With one, std::length_error is
    /// thrown at an array or object that is in most_levels others.
    JsonWriter(Output& out, std::optional<std::size_t> indent) : out_(out), indent_(indent) {}

    void begin_object() { begin('{'); }
    void end_object() { end('}'); }
    void begin_array() { begin('['); }
    void end_array() { end(']'); }
    void key(std::string_view name);

    /// Writes bytes as UTF-8 text. Invalid bytes become U+FFFD, as with Python's errors="replace".
    void string(std::string_view bytes);
    void number(std::size_t value);
    void null();

private:
    void begin(char bracket);
    void end(char bracket);
    void next();
    void line();

    Output& out_;
    std::optional<std::size_t> indent_;
    std::vector<bool> filled_{};  // of each open object or array
    bool behind_key_ = false;
};

}  // namespace ngx::conf
