#include "core/conf_file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/conf_escape.hpp"
#include "core/conf_hint.hpp"
#include "core/conf_slot.hpp"
#include "core/cycle.hpp"
#include "core/exception.hpp"
#include "core/palloc.hpp"
#include "core/string.hpp"

namespace ngx {

const ConfObserver* conf_observer;
bool conf_looks_up = true;

namespace {

/// The size of the window over a file. A word, with the character that ends it, must fit.
constexpr std::size_t conf_buffer = 4096;

/// The longest chain of files that include one another.
constexpr int max_include_depth = 1000;

/// The number of files that are being read. A file is read within the include of another one.
int include_depth;

/// Counts a file while it is read.
class IncludeScope {
public:
    IncludeScope() noexcept { include_depth++; }
    IncludeScope(const IncludeScope&) = delete;
    IncludeScope& operator=(const IncludeScope&) = delete;
    ~IncludeScope() { include_depth--; }
};

/// The result of conf_read_token().
enum class Token {
    error,
    terminated,   // words, then ";"
    block_start,  // words, then "{"
    block_done,   // "}"
    file_done,
};

/// The state of the tokenizer within one directive. nginx keeps it in the locals of one long
/// function.
struct TokenState {
    bool found = false;          // a word is complete
    bool need_space = false;     // after a closing quote
    bool last_space = true;      // between words
    bool sharp_comment = false;  // until the end of the line
    bool variable = false;       // after "$": "{" does not start a block
    bool quoted = false;         // after a backslash
    bool s_quoted = false;
    bool d_quoted = false;
    std::size_t start = 0;  // where the word begins in the buffer
    std::size_t start_line = 0;
};

constexpr bool is_space(char ch) noexcept
{
    return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}

/// True for a character of a word that neither ends the word nor changes the tokenizer's state.
constexpr bool is_plain(char ch) noexcept
{
    switch (ch) {
    case ';':
    case '{':
    case '$':
    case '\\':
    case '"':
    case '\'':
        return false;
    default:
        return !is_space(ch);
    }
}

/// The result of is_plain() for each character.
constexpr auto plain = [] {
    std::array<bool, 256> table{};
    for (int i = 0; i < 256; i++) {
        table[static_cast<std::size_t>(i)] = is_plain(static_cast<char>(i));
    }
    return table;
}();

/// True for the text of the -g option, which has no name.
bool is_param(const ConfFile& f) noexcept
{
    return f.fd == invalid_file && f.name.empty();
}

Token unexpected_end(Conf& cf)
{
    if (is_param(*cf.conf_file)) {
        conf_log_error(log_emerg, cf, 0, "unexpected end of parameter, expecting \";\"");
    } else {
        conf_log_error(log_emerg, cf, 0, "unexpected end of file, expecting \";\" or \"}}\"");
    }
    return Token::error;
}

Token too_long_parameter(Conf& cf, const TokenState& t)
{
    ConfFile& f = *cf.conf_file;
    f.line = t.start_line;

    if (t.d_quoted || t.s_quoted) {
        conf_log_error(log_emerg, cf, 0,
                       "too long parameter, probably missing terminating \"{}\" character",
                       t.d_quoted ? '"' : '\'');
    } else {
        conf_log_error(log_emerg, cf, 0, "too long parameter \"{}...\" started",
                       std::string_view(f.buffer).substr(t.start, 10));
    }
    return Token::error;
}

/// Moves the unfinished word to the front of the window and reads more of the file behind it.
Rc read_more(Conf& cf, TokenState& t)
{
    ConfFile& f = *cf.conf_file;
    const std::size_t len = f.pos - t.start;
    std::memmove(f.buffer.data(), f.buffer.data() + t.start, len);

    const std::size_t size =
        std::min(static_cast<std::size_t>(f.size - f.offset), f.buffer.size() - len);
    const ssize_t n = ::pread(f.fd, f.buffer.data() + len, size, f.offset);
    if (n == -1) {
        log_error(log_crit, cf.log, errno, "pread() \"{}\" failed", f.name);
        return Rc::error;
    }
    if (static_cast<std::size_t>(n) != size) {
        conf_log_error(log_emerg, cf, 0, "pread() returned only {} bytes instead of {}", n, size);
        return Rc::error;
    }

    f.offset += n;
    f.pos = len;
    f.last = len + size;
    f.base = static_cast<std::size_t>(f.offset) - f.last;
    t.start = 0;
    if (f.dump) {
        f.dump->buffer.append(f.buffer, f.pos, size);
    }
    return Rc::ok;
}

/// Reads more of the file when the window is used up. Returns `terminated` if a character can be
/// read.
Token fill_buffer(Conf& cf, TokenState& t)
{
    const ConfFile& f = *cf.conf_file;
    if (f.offset >= f.size) {
        const bool in_directive = !cf.args.empty() || !t.last_space;
        return in_directive ? unexpected_end(cf) : Token::file_done;
    }
    if (f.pos - t.start == conf_buffer) {
        return too_long_parameter(cf, t);
    }
    return read_more(cf, t) == Rc::ok ? Token::terminated : Token::error;
}

/// Moves the position behind the comment: to the end of its line, or of the window.
void skip_comment(ConfFile& f, TokenState& t) noexcept
{
    const std::size_t end = std::string_view(f.buffer.data(), f.last).find('\n', f.pos);
    f.pos = std::min(end, f.last);
    t.sharp_comment = end == std::string_view::npos;
}

/// Moves the position to the next character for which `skipped(character)` is false, or to the end
/// of the window.
template <typename Skipped>
void skip(ConfFile& f, Skipped skipped) noexcept
{
    std::size_t pos = f.pos;
    while (pos < f.last && skipped(f.buffer[pos])) {
        pos++;
    }
    f.pos = pos;
}

/// Copies a word and resolves its escapes.
std::string_view unescaped(Pool& pool, std::string_view text)
{
    char* const word = static_cast<char*>(pool.palloc(text.size() + 1, 1));
    char* dst = word;
    conf_unescape(text, [&dst](char ch) { *dst++ = ch; });
    *dst = '\0';
    return {word, static_cast<std::size_t>(dst - word)};
}

/// Adds the word that ends before the last read character.
void push_word(Conf& cf, const TokenState& t)
{
    const ConfFile& f = *cf.conf_file;
    const std::string_view text(f.buffer.data() + t.start, f.pos - 1 - t.start);
    cf.args.push_back(text.find('\\') == text.npos ? cf.pool->pstrdup(text)
                                                   : unescaped(*cf.pool, text));
}

/// How a character ends the directive or block; empty if it ends neither.
using Ended = std::optional<Token>;

Ended unexpected(Conf& cf, char ch)
{
    conf_log_error(log_emerg, cf, 0, "unexpected \"{}\"", ch);
    return Token::error;
}

/// Handles a character after a closing quote: white space, the end of the directive, or ")".
Ended after_quote(Conf& cf, TokenState& t, char ch)
{
    if (ch == ';') {
        return Token::terminated;
    }
    if (ch == '{') {
        return Token::block_start;
    }
    if (!is_space(ch) && ch != ')') {
        return unexpected(cf, ch);
    }
    t.last_space = true;
    t.need_space = false;
    return std::nullopt;
}

/// Handles a character between words that is not white space: the end of the directive or block, a
/// comment, or the first character of a word.
Ended between_words(Conf& cf, TokenState& t, char ch)
{
    t.start = cf.conf_file->pos - 1;
    t.start_line = cf.conf_file->line;
    if (cf.args.empty()) {
        cf.line = cf.conf_file->line;
        cf.column = cf.conf_file->base + t.start - cf.conf_file->line_start + 1;
    }

    switch (ch) {
    case ';':
    case '{':
        if (cf.args.empty()) {
            return unexpected(cf, ch);
        }
        return ch == '{' ? Token::block_start : Token::terminated;

    case '}':
        if (!cf.args.empty()) {
            return unexpected(cf, ch);
        }
        return Token::block_done;

    case '#':
        t.sharp_comment = true;
        return std::nullopt;

    case '"':
    case '\'':
        t.start++;
        (ch == '"' ? t.d_quoted : t.s_quoted) = true;
        break;

    case '\\':
        t.quoted = true;
        break;

    case '$':
        t.variable = true;
        break;
    }
    t.last_space = false;
    return std::nullopt;
}

/// Handles a character within a word: the word goes on, or ends.
Ended in_word(Conf& cf, TokenState& t, char ch)
{
    if (plain[static_cast<unsigned char>(ch)]) {
        t.variable = false;
        skip(*cf.conf_file, [](char next) { return plain[static_cast<unsigned char>(next)]; });
        return std::nullopt;
    }
    if (ch == '{' && t.variable) {
        return std::nullopt;
    }
    t.variable = ch == '$';
    t.quoted = ch == '\\';
    if (t.variable || t.quoted) {
        return std::nullopt;
    }

    bool& quote = t.d_quoted ? t.d_quoted : t.s_quoted;
    if (quote) {
        t.found = ch == (t.d_quoted ? '"' : '\'');
        quote = !t.found;
        t.need_space = t.found;
    } else {
        t.found = is_space(ch) || ch == ';' || ch == '{';
        t.last_space = t.found;
    }
    if (!t.found) {
        return std::nullopt;
    }

    t.found = false;
    push_word(cf, t);
    if (ch == ';') {
        return Token::terminated;
    }
    return ch == '{' ? Ended{Token::block_start} : std::nullopt;
}

/// Reads the words of one directive into `cf.args`.
///
/// nginx: ngx_conf_read_token()
Token conf_read_token(Conf& cf)
{
    ConfFile& f = *cf.conf_file;
    TokenState t{.start = f.pos, .start_line = f.line};
    cf.args.clear();

    for (;;) {
        if (f.pos == f.last) {
            if (const Token rc = fill_buffer(cf, t); rc != Token::terminated) {
                return rc;
            }
        }
        if (t.sharp_comment) {
            skip_comment(f, t);
            continue;
        }

        const char ch = f.buffer[f.pos++];
        if (ch == '\n') {
            f.line++;
            f.line_start = f.base + f.pos;
        }
        if (t.quoted) {
            t.quoted = false;
            continue;
        }

        Ended ended;
        if (t.need_space) {
            ended = after_quote(cf, t, ch);
            if (!ended && ch == ')') {
                ended = between_words(cf, t, ch);
            }
        } else if (!t.last_space) {
            ended = in_word(cf, t, ch);
        } else if (is_space(ch)) {
            skip(f, [](char next) { return next == ' '; });
            t.start = f.pos;
        } else {
            ended = between_words(cf, t, ch);
        }
        if (ended) {
            return *ended;
        }
    }
}

/// The command flags by number of arguments.
constexpr std::array<std::uint32_t, conf_max_args> argument_number = {
    conf_noargs, conf_take1, conf_take2, conf_take3, conf_take4, conf_take5, conf_take6, conf_take7,
};

/// Checks the number of words, `n`, which includes the directive's name.
bool argument_count_fits(const Command& cmd, std::size_t n) noexcept
{
    if ((cmd.type & conf_any) != 0) {
        return true;
    }
    if ((cmd.type & conf_flag) != 0) {
        return n == 2;
    }
    if ((cmd.type & conf_1more) != 0) {
        return n >= 2;
    }
    if ((cmd.type & conf_2more) != 0) {
        return n >= 3;
    }
    return n <= conf_max_args && (cmd.type & argument_number[n - 1]) != 0;
}

/// Checks that the directive ends as its command requires, and has an allowed number of arguments.
Rc check_form(Conf& cf, const Command& cmd, Token last)
{
    const std::string_view name = cf.args[0];
    const bool block = (cmd.type & conf_block) != 0;

    if (!block && last != Token::terminated) {
        conf_log_error(log_emerg, cf, 0, "directive \"{}\" is not terminated by \";\"", name);
        return Rc::error;
    }
    if (block && last != Token::block_start) {
        conf_log_error(log_emerg, cf, 0, "directive \"{}\" has no opening \"{{\"", name);
        return Rc::error;
    }
    if (!argument_count_fits(cmd, cf.args.size())) {
        conf_log_error(log_emerg, cf, 0, "invalid number of arguments in \"{}\" directive", name);
        return Rc::error;
    }
    return Rc::ok;
}

/// Returns what the command's function gets: the module's configuration, or for a main-level
/// command of a module such as events, which has no configuration yet, the address where to store
/// it.
void* find_conf(const Conf& cf, const Module& module, const Command& cmd) noexcept
{
    if ((cmd.type & direct_conf) != 0) {
        return cf.cycle->conf_ctx[module.index];
    }
    if ((cmd.type & main_conf) != 0) {
        return &cf.cycle->conf_ctx[module.index];
    }
    if (!cf.ctx || !cf.ctx->conf[cmd.conf]) {
        return nullptr;
    }
    return cf.ctx->conf[cmd.conf][module.ctx_index];
}

Rc run_command(Conf& cf, const Module& module, const Command& cmd, Token last)
{
    if (check_form(cf, cmd, last) != Rc::ok) {
        return Rc::error;
    }

    if (conf_observer && conf_observer->begin) {
        conf_observer->begin(cf, module, cmd, conf_observer->data);
    }
    const char* rv = cmd.set(cf, cmd, find_conf(cf, module, cmd));
    if (conf_observer && conf_observer->end) {
        conf_observer->end(cf, conf_observer->data);
    }
    if (rv == conf_ok) {
        return Rc::ok;
    }
    if (rv != conf_error) {
        conf_log_error(log_emerg, cf, 0, "\"{}\" directive {}", cf.args[0], rv);
    }
    return Rc::error;
}

/// Finds the command of the current directive and runs it.
///
/// nginx: ngx_conf_handler()
Rc conf_handler(Conf& cf, Token last)
{
    const std::string_view name = cf.args[0];

    for (const Module* module : modules_of(*cf.cycle)) {
        if (module->type != ModuleType::conf && module->type != cf.module_type) {
            continue;
        }
        for (const Command& cmd : module->commands) {
            if ((cmd.type & cf.cmd_type) != 0 && cmd.name == name) {
                return run_command(cf, *module, cmd, last);
            }
        }
    }

    const auto has_command = [name](const Module* module) {
        return std::ranges::find(module->commands, name, &Command::name) != module->commands.end();
    };
    if (std::ranges::any_of(modules_of(*cf.cycle), has_command)) {
        conf_log_error(log_emerg, cf, 0, "\"{}\" directive is not allowed here", name);
    } else {
        conf_log_error(log_emerg, cf, 0, "unknown directive \"{}\"{}", name, conf_hint(cf, name));
    }
    return Rc::error;
}

enum class ParseType { file, block, param };

/// Checks that this kind of input may end with this token.
Rc check_end(Conf& cf, ParseType type, Token rc)
{
    if (rc == Token::block_done && type != ParseType::block) {
        conf_log_error(log_emerg, cf, 0, "unexpected \"}}\"");
        return Rc::error;
    }
    if (rc == Token::file_done && type == ParseType::block) {
        conf_log_error(log_emerg, cf, 0, "unexpected end of file, expecting \"}}\"");
        return Rc::error;
    }
    if (rc == Token::block_start && type == ParseType::param) {
        conf_log_error(log_emerg, cf, 0, "block directives are not supported in -g option");
        return Rc::error;
    }
    return rc == Token::error ? Rc::error : Rc::ok;
}

/// Passes the directive to the block's own handler.
Rc run_handler(Conf& cf, Token rc)
{
    if (rc == Token::block_start) {
        conf_log_error(log_emerg, cf, 0, "unexpected \"{{\"");
        return Rc::error;
    }

    const char* rv = cf.handler(cf, cf.handler_conf);
    if (rv == conf_ok) {
        return Rc::ok;
    }
    if (rv != conf_error) {
        conf_log_error(log_emerg, cf, 0, "{}", rv);
    }
    return Rc::error;
}

/// Reads directives up to the end of the input. An exception from a directive, std::bad_alloc
/// included, becomes an error at its place.
Rc parse_directives(Conf& cf, ParseType type) noexcept
try {
    for (;;) {
        const Token rc = conf_read_token(cf);
        if (check_end(cf, type, rc) != Rc::ok) {
            return Rc::error;
        }
        if (rc == Token::block_done || rc == Token::file_done) {
            return Rc::ok;
        }
        if ((cf.handler ? run_handler(cf, rc) : conf_handler(cf, rc)) != Rc::ok) {
            return Rc::error;
        }
    }
} catch (...) {
    conf_log_error(log_emerg, cf, exception_errno(), "{}", exception_text());
    return Rc::error;
}

/// Returns where to store the file's text for -T, or null without -T or if the file was read
/// before.
///
/// nginx: ngx_conf_add_dump()
ConfDump* conf_add_dump(Cycle& cycle, std::string_view filename)
{
    auto& dumps = cycle.config_dump;
    const auto same = [&](const ConfDump& dump) { return dump.name == filename; };
    if (!dump_config || std::ranges::any_of(dumps, same)) {
        return nullptr;
    }
    return &dumps.emplace_back(ConfDump{std::string(filename), {}});
}

/// Determines the file's size.
///
/// Differs from nginx: a FIFO is refused. nginx waits for a writer, and then reads it as an empty
/// file.
Rc measure_file(Conf& cf, ConfFile& file) noexcept
{
    struct stat info {};
    if (::fstat(file.fd, &info) == -1) {
        log_error(log_emerg, cf.log, errno, "fstat() \"{}\" failed", file.name);
    }
    file.size = info.st_size;
    if (S_ISFIFO(info.st_mode)) {
        conf_log_error(log_emerg, cf, 0, "\"{}\" is a FIFO", file.name);
        return Rc::error;
    }
    return Rc::ok;
}

Rc parse_open_file(Conf& cf, ConfFile& file)
{
    if (measure_file(cf, file) != Rc::ok) {
        return Rc::error;
    }
    ConfFile* const prev = std::exchange(cf.conf_file, &file);
    const Rc rc = parse_directives(cf, ParseType::file);
    cf.conf_file = prev;
    return rc;
}

/// Opens and parses a file.
///
/// Differs from nginx: a loop of includes, or a very long chain, is an error at the include that
/// makes it too long. In nginx it ends when descriptors are exhausted, or with a stack overflow if
/// the limit of open files is high. No useful configuration comes near this number of files.
Rc parse_file(Conf& cf, std::string_view filename)
{
    if (include_depth == max_include_depth) {
        conf_log_error(log_emerg, cf, 0, "more than {} files include one another",
                       max_include_depth);
        return Rc::error;
    }
    const IncludeScope scope;
    ConfFile file{.name = filename, .buffer = std::string(conf_buffer, '\0')};
    file.dump = conf_add_dump(*cf.cycle, filename);
    if (conf_observer && conf_observer->file) {
        conf_observer->file(filename, conf_observer->data);
    }
    file.fd = ::open(filename.data(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file.fd == invalid_file) {
        conf_log_error(log_emerg, cf, errno, "open() \"{}\" failed", filename);
        return Rc::error;
    }

    Rc rc = parse_open_file(cf, file);
    if (::close(file.fd) == -1) {
        log_error(log_alert, cf.log, errno, "close() {} failed", filename);
        rc = Rc::error;
    }
    return rc;
}

/// The files that match a pattern, in order.
///
/// nginx: ngx_open_glob(), ngx_read_glob()
class Glob {
public:
    explicit Glob(const char* pattern) noexcept : rc_(::glob(pattern, 0, nullptr, &glob_)) {}
    ~Glob() { ::globfree(&glob_); }
    Glob(const Glob&) = delete;
    Glob& operator=(const Glob&) = delete;

    bool failed() const noexcept { return rc_ != 0 && rc_ != GLOB_NOMATCH; }

    std::span<char* const> names() const noexcept
    {
        return {glob_.gl_pathv, rc_ == 0 ? glob_.gl_pathc : 0};
    }

private:
    glob_t glob_{};
    int rc_;
};

}  // namespace

const char* conf_param(Conf& cf)
{
    const std::string& param = cf.cycle->conf_param;
    if (param.empty()) {
        return conf_ok;
    }

    ConfFile file{.buffer = param, .last = param.size()};
    cf.conf_file = &file;
    const char* rv = conf_parse(cf);
    cf.conf_file = nullptr;
    return rv;
}

const char* conf_parse(Conf& cf, std::optional<std::string_view> filename)
{
    Rc rc;
    if (filename) {
        rc = parse_file(cf, *filename);
    } else if (is_param(*cf.conf_file)) {
        rc = parse_directives(cf, ParseType::param);
    } else {
        rc = parse_directives(cf, ParseType::block);
    }
    return rc == Rc::ok ? conf_ok : conf_error;
}

const char* conf_parse_text(Conf& cf, std::string_view name, std::string_view text)
{
    ConfFile file{.name = name, .buffer = std::string(text), .last = text.size()};
    file.dump = conf_add_dump(*cf.cycle, name);
    if (file.dump) {
        file.dump->buffer = text;
    }
    ConfFile* const prev = std::exchange(cf.conf_file, &file);
    const Rc rc = parse_directives(cf, ParseType::file);
    cf.conf_file = prev;
    return rc == Rc::ok ? conf_ok : conf_error;
}

const char* conf_include(Conf& cf, const Command&, void*)
{
    log_debug(log_debug_core, cf.log, 0, "include {}", cf.args[1]);

    const std::string_view file = conf_full_name(*cf.cycle, cf.args[1], true);
    if (file.find_first_of("*?[") == file.npos) {
        log_debug(log_debug_core, cf.log, 0, "include {}", file);
        return conf_parse(cf, file);
    }

    const Glob glob(file.data());
    if (glob.failed()) {
        conf_log_error(log_emerg, cf, errno, "glob() \"{}\" failed", file);
        return conf_error;
    }

    for (const char* name : glob.names()) {
        log_debug(log_debug_core, cf.log, 0, "include {}", name);
        if (const char* rv = conf_parse(cf, cf.pool->pstrdup(name)); rv != conf_ok) {
            return rv;
        }
    }
    return conf_ok;
}

std::string_view conf_full_name(Cycle& cycle, std::string_view name, bool conf_prefix)
{
    if (name.starts_with('/')) {
        return cycle.pool->pstrdup(name);
    }
    return cycle.pool->pstrdup((conf_prefix ? cycle.conf_prefix : cycle.prefix) +
                               std::string(name));
}

OpenFile* conf_open_file(Cycle& cycle, std::string_view name)
{
    if (name.empty()) {
        return &cycle.open_files.emplace_back(OpenFile{.fd = STDERR_FILENO});
    }

    const std::string_view full = conf_full_name(cycle, name, false);
    const auto found = std::ranges::find(cycle.open_files, full, &OpenFile::name);
    if (found != cycle.open_files.end()) {
        return &*found;
    }
    return &cycle.open_files.emplace_back(OpenFile{.name = std::string(full)});
}

ConfPlace conf_place(const Conf& cf) noexcept
{
    return cf.conf_file ? ConfPlace{cf.conf_file->name, cf.conf_file->line} : ConfPlace{};
}

void conf_log_error_core(unsigned level, Log* log, const ConfPlace& place, Err err,
                         fmt::string_view format, fmt::format_args args) noexcept
{
    std::array<char, max_conf_errstr> errstr;
    char* const last = errstr.data() + errstr.size();

    char* p = fmt::vformat_to_n(errstr.data(), errstr.size(), format, args).out;
    if (err != 0) {
        p = log_errno(p, last, err);
    }
    const std::string_view text(errstr.data(), static_cast<std::size_t>(p - errstr.data()));

    if (place.line == 0) {
        log_error(level, log, 0, "{}", text);
    } else if (place.file.empty()) {
        log_error(level, log, 0, "{} in command line", text);
    } else {
        log_error(level, log, 0, "{} in {}:{}", text, place.file, place.line);
    }
    if (level == log_emerg && conf_observer && conf_observer->error) {
        conf_observer->error(place, text, conf_observer->data);
    }
}

const char* conf_deprecated(Conf& cf, const ConfDeprecated& post)
{
    conf_log_error(log_warn, cf, 0,
                   "the \"{}\" directive is deprecated, use the \"{}\" directive instead",
                   post.old_name, post.new_name);
    return conf_ok;
}

const char* conf_check_num_bounds(Conf& cf, const ConfNumBounds& bounds, std::int64_t value)
{
    if (value >= bounds.low && (!bounds.high || value <= *bounds.high)) {
        return conf_ok;
    }

    if (bounds.high) {
        conf_log_error(log_emerg, cf, 0, "value must be between {} and {}", bounds.low,
                       *bounds.high);
    } else {
        conf_log_error(log_emerg, cf, 0, "value must be equal to or greater than {}", bounds.low);
    }
    return conf_error;
}

std::optional<bool> conf_parse_flag(Conf& cf)
{
    if (strcaseeq(cf.args[1], "on")) {
        return true;
    }
    if (strcaseeq(cf.args[1], "off")) {
        return false;
    }
    conf_log_error(log_emerg, cf, 0,
                   "invalid value \"{}\" in \"{}\" directive, it must be \"on\" or \"off\"",
                   cf.args[1], cf.args[0]);
    return std::nullopt;
}

const char* conf_invalid_value(Conf& cf, std::size_t arg)
{
    conf_log_error(log_emerg, cf, 0, "invalid value \"{}\"", cf.args[arg]);
    return conf_error;
}

namespace {

/// nginx: ngx_conf_flush_files()
void conf_flush_files(Cycle& cycle)
{
    log_debug(log_debug_core, cycle.log, 0, "flush files");
    for (OpenFile& file : cycle.open_files) {
        if (file.flush) {
            file.flush(file, cycle.log);
        }
    }
}

constexpr Command conf_commands[] = {
    {.name = "include", .type = any_conf | conf_take1, .set = conf_include},
};

}  // namespace

constinit Module conf_module = {
    .commands = conf_commands,
    .type = ModuleType::conf,
    .exit_process = conf_flush_files,
};

}  // namespace ngx
