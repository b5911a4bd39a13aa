/// \file
/// The input is the first data from a proxy: a header of the PROXY protocol, or other data, and
/// what follows. A refused header must log exactly one error and set no addresses; an accepted
/// header logs none. The data behind the header must not affect its length. Its values must be
/// copies.

#include "core/proxy_protocol.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/connection.hpp"
#include "core/log.hpp"
#include "core/palloc.hpp"
#include "core/times.hpp"
#include "os/unix/os.hpp"
#include "test/fuzz/fuzz.hpp"

namespace ngx::test {

namespace {

struct {
    int errors = 0;  // the number logged so far
    Log log{};
} state;

[[noreturn]] void broken(const char* promise)
{
    std::fprintf(stderr, "proxy_protocol_fuzz: %s\n", promise);
    std::abort();
}

void count_errors(Log&, unsigned level, char*, std::size_t)
{
    state.errors += level <= log_err;
}

void start()
{
    state.log = {.log_level = log_debug_all, .writer = count_errors};
    use_stderr = false;
    time_init();
    if (os_init(&state.log) != Rc::ok) {
        broken("the system cannot be asked");
    }
}

/// A connection that has only a log and a pool.
struct Reading {
    Reading()
    {
        c.log = &state.log;
        c.pool = create_pool(connection_pool_size, c.log);
    }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    ~Reading() { destroy_pool(c.pool); }

    Connection c;
};

bool within(std::string_view part, std::string_view text)
{
    return part.data() >= text.data() && part.data() + part.size() <= text.data() + text.size();
}

/// Reads all values other than addresses. The calls must end, also for a broken header.
void check_tlvs(Connection& c)
{
    const std::string_view tlvs = c.proxy_protocol->tlvs;
    for (const std::string_view name :
         {"alpn", "authority", "unique_id", "ssl", "netns", "0x00", "0xff", "ssl_version",
          "ssl_verify", "ssl_0x25", "ssl_", "no such thing"}) {
        std::string_view value;
        const Rc rc = proxy_protocol_get_tlv(c, name, value);
        if (rc == Rc::ok && name != "ssl_verify" && !within(value, tlvs)) {
            broken("a value is none of what the header said");
        }
    }
}

void check_said(const ProxyProtocol& pp, std::string_view text)
{
    for (const std::string_view word : {pp.src_addr, pp.dst_addr, pp.tlvs}) {
        if (!word.empty() && within(word, text)) {
            broken("what the header said lies in the buffer");
        }
    }
    for (const std::string_view addr : {pp.src_addr, pp.dst_addr}) {
        if (addr.find_first_not_of(":.0123456789abcdefABCDEF") != addr.npos) {
            broken("an address has letters of none");
        }
    }
}

}  // namespace

bool reads(std::string_view text)
{
    if (!state.log.writer) {
        start();
    }
    Reading reading;
    Connection& c = reading.c;
    state.errors = 0;
    const auto size = proxy_protocol_read(c, text);
    if (!size) {
        if (state.errors != 1 || c.proxy_protocol) {
            broken("a header was refused with more or less than one error");
        }
        return false;
    }
    if (state.errors != 0 || *size == 0 || *size > text.size()) {
        broken("a header was taken with an error");
    }
    if (c.proxy_protocol) {
        check_said(*c.proxy_protocol, text);
        check_tlvs(c);
    }

    // A separate allocation, so that a read behind the end of the input is behind the end of the
    // memory.
    Reading again;
    const std::string alone(text.substr(0, *size));
    if (proxy_protocol_read(again.c, alone) != size ||
        (again.c.proxy_protocol == nullptr) != (c.proxy_protocol == nullptr)) {
        broken("a header is not the same without what stands behind it");
    }
    return true;
}

}  // namespace ngx::test

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    ngx::test::reads({reinterpret_cast<const char*>(data), size});
    return 0;
}
