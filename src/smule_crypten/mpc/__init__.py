"""Floor 3: the secure runtime. The only folder that imports crypten; sees models/, never data/."""
