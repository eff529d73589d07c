#include "row_pass.hpp"

namespace mixeff::rows {

Pass binomial_pass(const char *link) {
    static const Named list[] = {
        {"logit", pass_at<Binomial<Logit>>},     {"probit", pass_at<Binomial<Probit>>},
        {"cloglog", pass_at<Binomial<Cloglog>>}, {"cauchit", pass_at<Binomial<Cauchit>>},
        {"log", pass_at<Binomial<Log>>},         {"identity", pass_at<Binomial<Identity>>},
    };
    return find(list, link);
}

}  // namespace mixeff::rows
