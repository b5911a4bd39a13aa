#include "docs/lessons/exercises.hpp"

namespace ngx::exercise {

int woken(const std::string& how, int workers)
{
    return how == "poll" ? workers : 1;
}

int accepts_in_vain(const std::string& how, int workers, int clients)
{
    return (woken(how, workers) - 1) * clients;
}

}  // namespace ngx::exercise
