"""Secret sharing on CrypTen: its remedies, streams of randomness, dealing and the dealer, sessions, evaluation.

The only room that imports crypten. Sees transport/, models/ and config/, never data/.
"""
