// Tests of the upstream block: what it accepts and rejects.

#include <string>

#include <boost/test/unit_test.hpp>

#include "stream/stream_upstream.hpp"
#include "test/stream/server.hpp"
#include "test/support/log.hpp"

namespace ngx::test {

namespace {

void refused(std::string_view stream, std::string_view message)
{
    const std::string log = refusal(stream);
    BOOST_TEST(contains(log, message), stream << " gave " << log);
}

std::string server_of(std::string_view parameters)
{
    return fmt::format("upstream u {{ server 127.0.0.1:1 {}; }}", parameters);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stream_upstream)

BOOST_AUTO_TEST_CASE(the_parameters_of_a_server_are_checked)
{
    for (const char* const parameter :
         {"weight=0", "weight=x", "weight=", "max_conns=-1", "max_fails=x", "fail_timeout=soon",
          "backup=1", "slow_start=1s", "upside_down"}) {
        refused(server_of(parameter), fmt::format("invalid parameter \"{}\" in ", parameter));
    }
    for (const char* const parameter : {"resolve", "service=x"}) {
        refused(server_of(parameter),
                fmt::format("the \"{}\" parameter is not supported in ", parameter));
    }
}

BOOST_AUTO_TEST_CASE(an_upstream_has_servers_with_ports)
{
    refused("upstream u { }", "no servers are inside upstream in ");
    refused("upstream u { server 127.0.0.1; }", "no port in upstream \"127.0.0.1\" in ");
    refused("upstream u { server 127.0.0.1:x; }", "invalid port in upstream \"127.0.0.1:x\" in ");
    refused("upstream u { server 127.0.0.1:1 backup; }", "no servers in upstream \"u\" in ");
    refused("upstream u { server nobody.invalid:1; }",
            "host not found in upstream \"nobody.invalid:1\" in ");
}

BOOST_AUTO_TEST_CASE(a_name_stands_for_one_upstream)
{
    refused("upstream u { server 127.0.0.1:1; } upstream U { server 127.0.0.1:1; }",
            "duplicate upstream \"U\" in ");
    refused("upstream u { server 127.0.0.1:1; } server { listen unix:DIR/a; proxy_pass u:1; }",
            "upstream \"u\" may not have port 1 in ");
    refused("server { listen unix:DIR/a; proxy_pass u:1; } upstream u { server 127.0.0.1:1; }",
            "upstream \"u\" may not have port 1 in ");
}

BOOST_AUTO_TEST_CASE(a_host_has_an_upstream_for_each_port_in_the_order_of_mention)
{
    const Server server({.stream = "server { listen unix:DIR/a; proxy_pass U; } "
                                   "server { listen unix:DIR/b; proxy_pass 127.0.0.1:3; } "
                                   "server { listen unix:DIR/c; proxy_pass 127.0.0.1:2; } "
                                   "upstream u { server 127.0.0.1:1; } "
                                   "server { listen unix:DIR/d; proxy_pass 127.0.0.1:3; }",
                         .start = Start::conf});
    BOOST_TEST_REQUIRE(server.cycle.ok());
    const auto& block = *static_cast<BlockCtx*>(server.cycle->conf_ctx[stream_module.index]);
    const auto& umcf = *static_cast<StreamUpstreamMainConf*>(
        block.conf[stream_main_conf_offset][stream_upstream_module.ctx_index]);

    std::string named;
    for (const StreamUpstreamSrvConf* uscf : umcf.upstreams) {
        named += fmt::format("{}:{} ", uscf->host, uscf->port);
    }
    BOOST_TEST(named == "U:0 127.0.0.1:3 127.0.0.1:2 ");
    BOOST_TEST(stream_upstream_find(umcf, "u", 0) == umcf.upstreams[0]);
    BOOST_TEST(stream_upstream_find(umcf, "127.0.0.1", 2) == umcf.upstreams[2]);
    BOOST_TEST(stream_upstream_find(umcf, "127.0.0.1", 1) == nullptr);
    BOOST_TEST(stream_upstream_find(umcf, "v", 0) == nullptr);
}

BOOST_AUTO_TEST_CASE(an_upstream_may_be_defined_after_its_use)
{
    const Server server({.stream = "server { listen unix:DIR/a; proxy_pass u; } "
                                   "upstream u { server 127.0.0.1:1; }",
                         .start = Start::conf});
    BOOST_TEST(server.cycle.ok());
}

BOOST_AUTO_TEST_CASE(a_second_method_is_a_warning)
{
    const Server server({.stream = "upstream u { least_conn; least_conn; server 127.0.0.1:1; }",
                         .start = Start::conf});
    BOOST_TEST(server.cycle.ok());
    BOOST_TEST(contains(server.log(), "load balancing method redefined in "));
}

BOOST_AUTO_TEST_CASE(unknown_directives_are_refused)
{
    refused("upstream u { zone u 64k; server 127.0.0.1:1; }",
            "unknown directive \"zone\" (nginx has it, ");
    refused("upstream u { hash $remote_addr; server 127.0.0.1:1; }", "unknown directive \"hash\"");
    refused("upstream u { listen 1; }", "\"listen\" directive is not allowed here in ");
    refused("least_conn;", "\"least_conn\" directive is not allowed here in ");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace ngx::test
