"""Floor 4: interchangeable secure-inference schemes behind one contract."""
