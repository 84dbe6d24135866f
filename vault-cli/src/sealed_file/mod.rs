//! One file sealed to cards, without a vault. Spec section 2.6.
