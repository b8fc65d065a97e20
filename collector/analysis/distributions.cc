// collector/analysis/distributions.cc: see collector/analysis/distributions.h.
#include "collector/analysis/distributions.h"

#include <boost/math/distributions/chi_squared.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/special_functions/gamma.hpp>

namespace camprobe::analysis {

using boost::math::cdf;
using boost::math::complement;
using boost::math::quantile;

double student_t_tail(double df, double x) {
  return cdf(complement(boost::math::students_t(df), x));
}

double student_t_above(double df, double probability) {
  return quantile(complement(boost::math::students_t(df), probability));
}

double normal_tail(double z) {
  return cdf(complement(boost::math::normal(), z));
}

double chi_squared_above(double df, double probability) {
  return quantile(complement(boost::math::chi_squared(df), probability));
}

double chi_squared_below(double df, double probability) {
  return quantile(boost::math::chi_squared(df), probability);
}

double gamma_lower(double n, double mean) {
  return boost::math::gamma_p(n, mean);
}

}  // namespace camprobe::analysis
