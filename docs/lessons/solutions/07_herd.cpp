#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

int woken(const std::string& how, int workers)
{
    return how == "poll" ? workers : 1;
}

int failed_accepts(const std::string& how, int workers, int clients)
{
    return (woken(how, workers) - 1) * clients;
}

}  // namespace ngx::exercise
