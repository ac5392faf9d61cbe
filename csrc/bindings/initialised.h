// pybind11 gives an object that was made by __new__ alone unconstructed memory as soon as a method is called on it.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

namespace tokenclock {

// Whether `object`, an instance of a bound class, has the C++ object that __init__ or __setstate__ makes.
inline bool is_initialised(pybind11::handle object) {
  return reinterpret_cast<pybind11::detail::instance*>(object.ptr())->get_value_and_holder().value_ptr() != nullptr;
}

// Loads a T as pybind11 does, and refuses one that was never initialised with TypeError.
template <typename T>
class InitialisedCaster : public pybind11::detail::type_caster_base<T> {
 public:
  bool load(pybind11::handle source, bool convert) {
    if (source && PyType_IsSubtype(Py_TYPE(source.ptr()), this->typeinfo->type) != 0 && !is_initialised(source)) {
      throw pybind11::type_error("this " + std::string(Py_TYPE(source.ptr())->tp_name) +
                                 " was made by __new__ alone: call the class to make one");
    }
    return pybind11::detail::type_caster_base<T>::load(source, convert);
  }
};

}  // namespace tokenclock
