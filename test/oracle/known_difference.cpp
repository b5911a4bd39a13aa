#include "test/oracle/known_difference.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <regex>

namespace ngx::test::oracle {

namespace {

const std::vector<KnownDifference> table{
    {Agreement::none,
     "a log in memory is refused",
     {"error_log: targets: error_log memory:32k debug;",
      "error_log: targets: error_log memory:1m;"}},
    {Agreement::verdict,
     "a log in memory is refused before its size is looked at",
     {"error_log: targets: error_log memory:*"}},

    {Agreement::none,
     "Debian builds nginx without poll",
     {"events: use: use poll;", "events: poll with many connections",
      "events: epoll_events and worker_aio_requests with another method",
      "generated: use in events"}},
    {Agreement::verdict,
     "Debian builds nginx without poll, and refuses the first of the two",
     {"generated: use twice"}},
    {Agreement::verdict,
     "Debian builds nginx without select, and refuses that before it could count",
     {"events: select with a connection too many*"}},
    {Agreement::none,
     "Debian builds nginx without select",
     {"events: use: use select;", "events: select with *"}},

    {Agreement::none,
     "nginx has no rtsig since 1.9",
     {"events: use: use rtsig;", "events: directives of other event modules: rtsig_signo 40;"},
     "ngx_rtsig_module"},

    {Agreement::none, "ngxx has no http", {"core: unknown blocks: http {}"}},
    {Agreement::verdict,
     "ngxx has no http, whose name is unknown to it",
     {"core: directives of other servers: http;"}},
    {Agreement::meaning,
     "ngxx has no http, whose directives are unknown to it",
     {"*: http {}", "*: types {}", "*: location / {}", "*: if *", "*: root *"}},
    {Agreement::meaning,
     "ngxx looks at a file before it loads it, and says what it is",
     {"core: load_module: load_module /etc/passwd;", "core: load_module: load_module %DIR%;",
      "core: load_module: load_module \"\";", "generated: load_module with an empty argument"}},
    {Agreement::none, "ngxx refuses what nginx ignores", {"core: a pool with a word too many*"}},
    {Agreement::none,
     "ngxx has no regular expressions",
     {"core: *: pcre_jit *", "return: spelling of variables: return \"$1*"}},
    {Agreement::none,
     "the stream block of ngxx is small",
     {"stream: directives that nginx has and ngxx lacks*"}},
    {Agreement::none,
     "echo, discard and send_file are handlers of ngxx alone",
     {"stream: directives that ngxx has and nginx lacks*"}},

    {Agreement::verdict, "ngxx has no TLS", {"listen: parameters: * ssl;", "listen: udp: * ssl;"}},

    {Agreement::none,
     "nginx 1.31 knows this parameter, 1.22 does not",
     {"listen: parameters: * deferred;", "listen: parameters: * accept_filter=*",
      "listen: parameters: * default_server;"}},
    {Agreement::none,
     "servers may share an address in nginx 1.31, in 1.22 they may not",
     {"listen: the same address in two servers", "listen: the same unix socket in two servers"}},
    {Agreement::meaning,
     "servers may share an address in nginx 1.31, but not each have options for it",
     {"listen: the same address in two servers with parameters"}},
    {Agreement::none,
     "nginx 1.31 misses the handler when a connection comes, 1.22 when it reads the file",
     {"stream: server without a handler*", "generated: error_log in return",
      "generated: listen in return", "generated: allow in return", "generated: deny in return",
      "generated: preread_* in return", "generated: proxy_protocol* in return",
      "generated: proxy_[!p]* in return"}},
    {Agreement::verdict,
     "in nginx 1.31 proxy_protocol is more than a flag",
     {"generated: proxy_protocol with an empty argument", "generated: proxy_protocol \"[yo1]\"",
      "generated: proxy_protocol \"yes\"", "generated: proxy_protocol \"onn\"",
      "generated: proxy_protocol \"on,\""}},
    {Agreement::none,
     "a proxy without a buffer would hang, which ngxx says at once and nginx never",
     {"generated: proxy_buffer_size \"0\""}},

    {Agreement::verdict,
     "ngxx reads IPv6 addresses as the C library does: one colon may not lead, :: may stand for "
     "one number",
     {"listen: how addresses *: listen [[]:2001:db8::1]:%PORT%;",
      "listen: how addresses *: listen [[]1:2:3:4:5:6:7::]:%PORT%;"}},
    {Agreement::meaning,
     "ngxx writes IPv6 addresses as the C library does: not as an IPv4 one when the last two "
     "bytes alone are set",
     {"listen: how addresses *: listen [[]::1234]:%PORT%;"}},

    {Agreement::none,
     "a zero byte ends a word for nginx, and is part of it for ngxx",
     {"tokenizer: zero bytes: daemon on%NUL%;",
      "tokenizer: zero bytes: worker_processes auto%NUL%;",
      "tokenizer: zero bytes: error_log stderr info%NUL%;"}},
    {Agreement::verdict,
     "a zero byte ends a word that nginx tells of, and is part of it for ngxx",
     {"tokenizer: zero bytes: daemon %NUL%on;", "tokenizer: zero bytes: debug_points stop%NUL%;",
      "tokenizer: zero bytes: %NUL%daemon on;", "tokenizer: zero bytes: daemon%NUL% on;",
      "tokenizer: zero bytes: dae%NUL%mon on;",
      "tokenizer: zero bytes: include missing%NUL%.conf;"}},
    {Agreement::none,
     "epoll_wait() takes no such number of events, which ngxx says at once and nginx never",
     {"generated: epoll_events \"0\"", "generated: epoll_events \"2147483648\"",
      "generated: epoll_events \"9223372036854775807\""}},
    {Agreement::none,
     "nginx cuts the number to an int, where it becomes the mark of a bad number",
     {"generated: worker_priority \"9223372036854775807\""}},
};

}  // namespace

std::span<const KnownDifference> known_differences()
{
    return table;
}

KnownDifferenceMatch find_known_difference(const std::string& name, const std::string& version)
{
    for (const KnownDifference& difference : known_differences()) {
        if (version.find(difference.with) == std::string::npos) {
            continue;
        }
        const auto fits = [&name](const std::string& pattern) {
            return ::fnmatch(pattern.c_str(), name.c_str(), FNM_NOESCAPE) == 0;
        };
        const auto found = std::ranges::find_if(difference.patterns, fits);
        if (found != difference.patterns.end()) {
            return {&difference, &*found};
        }
    }
    return {};
}

Outcome reworded(Outcome outcome)
{
    static const std::vector<std::pair<std::regex, std::string>> rewordings{
        {std::regex(R"re(the invalid (".*") parameter)re"), "invalid parameter $1"},
        {std::regex(R"re(duplicate "([^"]*)" address and port pair)re"), "a duplicate listen $1"},
    };
    for (Message& message : outcome.messages) {
        for (const auto& [old_words, new_words] : rewordings) {
            message.text = std::regex_replace(message.text, old_words, new_words);
        }
    }
    return outcome;
}

}  // namespace ngx::test::oracle
